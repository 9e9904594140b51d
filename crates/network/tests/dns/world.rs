//! A container's namespace with a name server in it, and servers for it to ask.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use wharf_network::Netns;
use wharf_network::dns::{
    Forwarding, Handle, Origin, Outcome, SandboxConfig, Server, Upstream, Zone,
};

/// Where the tests' upstream server listens, in the container's own namespace.
pub(crate) const UPSTREAM: &str = "127.0.0.1:5300";

pub(crate) struct Names;

impl Zone for Names {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        match name {
            "web" => Some(vec![ip("172.18.0.2"), ip("fd00::2")]),
            "four" => Some(vec![ip("172.18.0.4")]),
            "many" => Some((1..=200).map(|n| IpAddr::from([172, 18, 1, n])).collect()),
            _ => None,
        }
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        (address == ip("172.18.0.2")).then(|| "web.front".to_owned())
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A namespace with a server in it.
pub(crate) struct Place {
    pub(crate) namespace: Netns,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) config: SandboxConfig,
    pub(crate) server: Option<Handle>,
}

impl Place {
    pub(crate) fn new(forwarding: Forwarding) -> Place {
        let namespace = Netns::create().unwrap();
        namespace.run(wharf_sys::loopback::up).unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = SandboxConfig {
            container: "box".to_owned(),
            upstreams: vec![Upstream {
                address: UPSTREAM.parse().unwrap(),
                origin: Origin::Container,
            }],
            forwarding,
            ..SandboxConfig::default()
        };
        let mut place = Place {
            namespace,
            runtime,
            config,
            server: None,
        };
        place.start();
        place
    }

    pub(crate) fn start(&mut self) {
        let zone = Arc::new(Names);
        let (namespace, runtime) = (&self.namespace, self.runtime.handle());
        let server = Server::start(namespace, self.config.clone(), zone, runtime).unwrap();
        self.server = Some(server);
    }

    pub(crate) fn socket(&self, address: &str) -> UdpSocket {
        let bound = self.namespace.run(|| UdpSocket::bind(address)).unwrap();
        let socket = bound.unwrap();
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).unwrap();
        socket
    }

    pub(crate) fn ask_with(&self, question: &Message) -> Message {
        let socket = self.socket("127.0.0.1:0");
        socket.connect("127.0.0.11:53").unwrap();
        socket.send(&question.to_vec().unwrap()).unwrap();
        let mut buffer = [0; 65_535];
        let length = socket.recv(&mut buffer).unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(answer.metadata.id, question.metadata.id);
        assert_eq!(answer.queries, question.queries);
        answer
    }

    pub(crate) fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.ask_with(&question(name, kind))
    }

    pub(crate) fn ask_over_a_stream(&self, questions: &[Message]) -> Vec<Message> {
        let connected = self.namespace.run(|| TcpStream::connect("127.0.0.11:53"));
        let mut stream = connected.unwrap().unwrap();
        for question in questions {
            let bytes = question.to_vec().unwrap();
            let length = u16::try_from(bytes.len()).unwrap();
            stream.write_all(&length.to_be_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
        }
        questions
            .iter()
            .map(|_| {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut answer).unwrap();
                Message::from_vec(&answer).unwrap()
            })
            .collect()
    }

    /// An upstream server that answers everything with one address, after what `meddle` sends.
    pub(crate) fn upstream(
        &self,
        meddle: fn(&UdpSocket, &Message, SocketAddr),
    ) -> Arc<AtomicUsize> {
        let socket = self.socket(UPSTREAM);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                let question = Message::from_vec(&buffer[..length]).unwrap();
                meddle(&socket, &question, client);
                let bytes = answer(&question, "192.0.2.80").to_vec().unwrap();
                socket.send_to(&bytes, client).unwrap();
            }
        });
        asked
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let newest = self.config.log.newest();
        newest.into_iter().map(|query| query.outcome).collect()
    }
}

pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

pub(crate) fn answer(question: &Message, address: &str) -> Message {
    let mut reply = question.clone();
    reply.metadata.message_type = MessageType::Response;
    let name = question.queries[0].name().clone();
    let data = RData::A(A(address.parse().unwrap()));
    reply.add_answer(Record::from_rdata(name, 300, data));
    reply
}

pub(crate) fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |record: &Record| record.data.ip_addr();
    message.answers.iter().filter_map(address).collect()
}

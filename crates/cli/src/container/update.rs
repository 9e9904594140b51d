//! `docker update`

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::Call;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::path;
use crate::failure::Failure;
use crate::flags::{FlagSet, Given, List};
use crate::json::Json;
use crate::session::Session;
use crate::spec::restart::RestartPolicy;
use crate::spec::shape;
use crate::spec::size::{Bytes, Cpus, SwapBytes};

pub(crate) const COMMAND: Command = Command::verb(
    "update",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
    Arity::AtLeast(1),
    || Box::new(Update::default()),
)
.paths(&["container update", "update"])
.names(Names::Containers);

#[derive(Default)]
struct Update {
    blkio_weight: Given<u16>,
    cpu_period: Given<i64>,
    cpu_quota: Given<i64>,
    cpu_rt_period: Given<i64>,
    cpu_rt_runtime: Given<i64>,
    cpu_shares: Given<i64>,
    cpus: Given<Cpus>,
    cpuset_cpus: Given<String>,
    cpuset_mems: Given<String>,
    memory: Given<Bytes>,
    memory_reservation: Given<Bytes>,
    memory_swap: Given<SwapBytes>,
    kernel_memory: Bytes,
    pids_limit: Given<i64>,
    restart: Given<String>,
    publish_add: List,
    publish_remove: List,
    shape: Given<String>,
}

/// Only what is to change.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_shares: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nano_cpus: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blkio_weight: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_quota: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_realtime_period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_realtime_runtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpuset_cpus: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpuset_mems: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_reservation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_swap: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids_limit: Option<i64>,
    restart_policy: RestartPolicy,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    publish_add: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    publish_remove: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    endpoint_options: BTreeMap<String, BTreeMap<String, String>>,
}

impl Update {
    fn request(&self) -> Result<Request, String> {
        Ok(Request {
            cpu_shares: self.cpu_shares.given().copied(),
            memory: self.memory.given().map(|bytes| bytes.0),
            nano_cpus: self.cpus.given().map(|cpus| cpus.0),
            blkio_weight: self.blkio_weight.given().copied(),
            cpu_period: self.cpu_period.given().copied(),
            cpu_quota: self.cpu_quota.given().copied(),
            cpu_realtime_period: self.cpu_rt_period.given().copied(),
            cpu_realtime_runtime: self.cpu_rt_runtime.given().copied(),
            cpuset_cpus: self.cpuset_cpus.given().cloned(),
            cpuset_mems: self.cpuset_mems.given().cloned(),
            memory_reservation: self.memory_reservation.given().map(|bytes| bytes.0),
            memory_swap: self.memory_swap.given().map(|bytes| bytes.0),
            pids_limit: self.pids_limit.given().copied(),
            restart_policy: RestartPolicy::parse(&self.restart)?,
            publish_add: self.publish_add.to_vec(),
            publish_remove: self.publish_remove.to_vec(),
            endpoint_options: match self.shape.given() {
                Some(text) => shape::parse(text)?,
                None => BTreeMap::new(),
            },
        })
    }

    /// Was anything asked for at all?
    fn is_empty(&self) -> bool {
        self.blkio_weight.given().is_none()
            && self.cpu_period.given().is_none()
            && self.cpu_quota.given().is_none()
            && self.cpu_rt_period.given().is_none()
            && self.cpu_rt_runtime.given().is_none()
            && self.cpu_shares.given().is_none()
            && self.cpus.given().is_none()
            && self.cpuset_cpus.given().is_none()
            && self.cpuset_mems.given().is_none()
            && self.memory.given().is_none()
            && self.memory_reservation.given().is_none()
            && self.memory_swap.given().is_none()
            && self.pids_limit.given().is_none()
            && self.restart.given().is_none()
            && self.publish_add.is_empty()
            && self.publish_remove.is_empty()
            && self.shape.given().is_none()
    }
}

impl Verb for Update {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.blkio_weight,
            "blkio-weight",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable",
        );
        set.long(
            &mut self.cpu_period,
            "cpu-period",
            "Limit CPU CFS (Completely Fair Scheduler) period",
        );
        set.long(
            &mut self.cpu_quota,
            "cpu-quota",
            "Limit CPU CFS (Completely Fair Scheduler) quota",
        );
        set.long(
            &mut self.cpu_rt_period,
            "cpu-rt-period",
            "Limit the CPU real-time period in microseconds",
        );
        set.long(
            &mut self.cpu_rt_runtime,
            "cpu-rt-runtime",
            "Limit the CPU real-time runtime in microseconds",
        );
        set.long(
            &mut self.cpuset_cpus,
            "cpuset-cpus",
            "CPUs in which to allow execution (0-3, 0,1)",
        );
        set.long(
            &mut self.cpuset_mems,
            "cpuset-mems",
            "MEMs in which to allow execution (0-3, 0,1)",
        );
        set.short(
            &mut self.cpu_shares,
            "cpu-shares",
            'c',
            "CPU shares (relative weight)",
        );
        set.short(&mut self.memory, "memory", 'm', "Memory limit");
        set.long(
            &mut self.memory_reservation,
            "memory-reservation",
            "Memory soft limit",
        );
        set.long(
            &mut self.memory_swap,
            "memory-swap",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        );
        set.long(
            &mut self.kernel_memory,
            "kernel-memory",
            "Kernel memory limit (deprecated)",
        )
        .hide();
        set.long(
            &mut self.restart,
            "restart",
            "Restart policy to apply when a container exits",
        );
        set.long(
            &mut self.pids_limit,
            "pids-limit",
            "Tune container pids limit (set -1 for unlimited)",
        );
        set.long(&mut self.cpus, "cpus", "Number of CPUs");
        set.long(
            &mut self.publish_add,
            "publish-add",
            "Publish a port of the running container, as 'run --publish' writes it",
        )
        .own();
        set.long(
            &mut self.publish_remove,
            "publish-rm",
            "Publish a port no more; without a host port, every one it has",
        )
        .own();
        set.long(
            &mut self.shape,
            "shape",
            "Shape the traffic of a network, from now on (name=NETWORK,rate=10mbit,burst=BYTES,latency=20ms,jitter=5ms,loss=0.5%; a setting without a value ends it)",
        )
        .own();
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.is_empty() {
                return Err(Failure::Text(
                    "you must provide one or more flags when using this command".to_owned(),
                ));
            }
            let request = self.request()?;
            let client = session.client()?;
            let mut warnings: Vec<String> = Vec::new();
            let mut reasons = Vec::new();
            for id in &args {
                let answered = async {
                    let call = Call::post(path(id, "/update")?).json(&request)?;
                    Ok::<Json, Failure>(client.send(call).await?.json().await?)
                };
                match answered.await {
                    Ok(answer) => {
                        session.print(&format!("{id}\n"))?;
                        warnings.extend(answer.texts("Warnings").into_iter().map(str::to_owned));
                    }
                    Err(failure) => reasons.extend(failure.message(session.program)),
                }
            }
            if !warnings.is_empty() {
                session.print(&format!("{}\n", warnings.join("\n")))?;
            }
            if reasons.is_empty() {
                Ok(())
            } else {
                Err(Failure::Text(reasons.join("\n")))
            }
        })
    }
}

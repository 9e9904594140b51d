//! `import` from a URL.
//!
//! http and https; a bounded number of redirects; a bounded time to connect and for every read,
//! but not for the whole, which depends on its size. TLS is rustls on aws-lc-rs, put in place
//! explicitly. The URL is fetched by the host, in its network: whoever may use the engine's API
//! may do that anyway.

use std::io::{self, Read};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::redirect::Policy;

use crate::error::ImageError;
use crate::progress::Progress;

const MAX_REDIRECTS: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// For the answer to begin, and for each read of it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Of an error page, what goes into the message.
const MAX_ERROR_PAGE: u64 = 1024;
/// Progress is reported about this often, in bytes.
const REPORT_EVERY: u64 = 1024 * 1024;

/// What is behind a URL, while it arrives.
pub struct Download<'a> {
    response: Response,
    progress: &'a mut dyn Progress,
    received: u64,
    reported: u64,
    total: u64,
}

/// Begin to fetch `url`. Without a scheme it is http, as Docker takes it.
pub fn open<'a>(url: &str, progress: &'a mut dyn Progress) -> Result<Download<'a>, ImageError> {
    let url = match url.split_once("://") {
        None => format!("http://{url}"),
        Some(("http" | "https", _)) => url.to_owned(),
        Some((scheme, _)) => {
            return Err(ImageError::Fetch(format!(
                "unsupported URL scheme {scheme:?} in {url}"
            )));
        }
    };
    // An error says that a provider is in place already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let failed = |error: reqwest::Error| ImageError::Fetch(describe(&url, &error));
    let client = Client::builder()
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::limited(MAX_REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(READ_TIMEOUT)
        .build()
        .map_err(failed)?;
    progress.message(&format!("Downloading from {url}\n"));
    let response = client.get(&url).send().map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        let mut page = Vec::new();
        // The page only explains; that it cannot be read changes nothing.
        let _ = response.take(MAX_ERROR_PAGE).read_to_end(&mut page);
        let page = String::from_utf8_lossy(&page);
        return Err(ImageError::Fetch(format!(
            "failed to GET {url} with status {status}: {}",
            page.trim()
        )));
    }
    let total = response.content_length().unwrap_or_default();
    Ok(Download {
        response,
        progress,
        received: 0,
        reported: 0,
        total,
    })
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.response.read(buffer)?;
        self.received += got as u64;
        if self.received - self.reported >= REPORT_EVERY || (got == 0 && self.reported == 0) {
            self.reported = self.received;
            self.progress
                .report("", "Importing", self.received, self.total);
        }
        Ok(got)
    }
}

/// The error with its causes: reqwest's own text says only that something failed.
fn describe(url: &str, error: &reqwest::Error) -> String {
    let mut text = format!("Get {url:?}");
    let mut cause = std::error::Error::source(error);
    if cause.is_none() {
        text = format!("{text}: {error}");
    }
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    /// Answers one request after the other with the given texts; returns its address.
    fn serve(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                let mut request = [0u8; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    fn fetch(url: &str) -> Result<Vec<u8>, String> {
        let mut progress = Silent;
        let mut download = open(url, &mut progress).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        download
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    #[test]
    fn what_is_behind_a_url_arrives_through_redirects() {
        let ok =
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello".to_owned();
        let there = serve(vec![ok]);
        let redirect = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{there}/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let here = serve(vec![redirect]);
        assert_eq!(fetch(&here), Ok(b"hello".to_vec()));
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhello";
        assert!(fetch(&serve(vec![short.to_owned()])).is_err());
    }

    #[test]
    fn a_status_that_is_no_success_is_told_with_its_page() {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope";
        let address = serve(vec![answer.to_owned()]);
        let message = format!("failed to GET http://{address} with status 404 Not Found: nope");
        assert_eq!(fetch(&address), Err(message));
    }

    #[test]
    fn only_web_addresses_are_fetched() {
        for url in ["file:///etc/passwd", "ftp://host/x"] {
            assert!(
                fetch(url).unwrap_err().contains("unsupported URL scheme"),
                "{url}"
            );
        }
    }

    #[test]
    fn redirects_that_never_end_are_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let own = address.clone();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.read(&mut [0u8; 4096]);
                let answer = format!(
                    "HTTP/1.1 302 Found\r\nLocation: http://{own}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        assert!(fetch(&address).unwrap_err().contains("redirect"));
    }
}

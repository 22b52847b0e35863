//! A receiver of webhooks on a port of this host, which answers as the test wants.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What it does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A code, with a header.
    Code(u16, Option<(&'static str, String)>),
    /// Nothing, for ever.
    Silence,
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: Option<String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    answer: Arc<Mutex<Answer>>,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Receiver {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, answer: Arc::new(Mutex::new(answer)), came: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let receiver = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| receiver.clone().take(request));
                    // A sender that hangs up is no failure.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        receiver
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> outputs::Url {
        outputs::Url::parse(&format!("http://127.0.0.1:{}/hook", self.port)).unwrap()
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        let (id, timestamp, signature) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
        let body =
            request.into_body().collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        self.came.lock().unwrap().push(Came {
            id: id.unwrap_or_default(),
            timestamp: timestamp.unwrap_or_default(),
            signature,
            body,
        });
        let answer = self.answer.lock().unwrap().clone();
        let (code, header) = match answer {
            Answer::Code(code, header) => (code, header),
            Answer::Silence => std::future::pending().await,
        };
        let mut response = Response::builder().status(code);
        if let Some((name, value)) = header {
            response = response.header(name, value);
        }
        Ok(response.body(Full::from("as you wish\n")).unwrap())
    }
}

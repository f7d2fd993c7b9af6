//! A server with prepared answers that remembers what it was asked.

use std::sync::{Arc, Mutex, mpsc};

use cardproof::proto::bankcard::v1::{
    QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest, VerifyBankCardResponse,
    bank_card_service_server::{BankCardService, BankCardServiceServer},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server as Transport, ServerTlsConfig},
};
use tonic_health::ServingStatus;

/// What it says to every question.
pub(super) struct Script {
    pub(super) verify: Result<VerifyBankCardResponse, Status>,
    pub(super) card_info: Result<QueryCardInfoResponse, Status>,
    pub(super) silent: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            verify: Ok(VerifyBankCardResponse::default()),
            card_info: Ok(QueryCardInfoResponse::default()),
            silent: false,
        }
    }
}

/// What it was asked.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) verify: Option<VerifyBankCardRequest>,
    pub(super) card_info: Option<QueryCardInfoRequest>,
    pub(super) metadata: MetadataMap,
}

struct Service {
    script: Script,
    asked: Arc<Mutex<Asked>>,
}

impl Service {
    async fn hold(&self) {
        if self.script.silent {
            std::future::pending::<()>().await;
        }
    }
}

#[tonic::async_trait]
impl BankCardService for Service {
    async fn verify_bank_card(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        {
            let mut asked = self.asked.lock().unwrap();
            asked.metadata = request.metadata().clone();
            asked.verify = Some(request.into_inner());
        }
        self.hold().await;
        self.script.verify.clone().map(Response::new)
    }

    async fn query_card_info(
        &self,
        request: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        {
            let mut asked = self.asked.lock().unwrap();
            asked.metadata = request.metadata().clone();
            asked.card_info = Some(request.into_inner());
        }
        self.hold().await;
        self.script.card_info.clone().map(Response::new)
    }
}

/// A server that runs until the end of the tests.
pub(super) struct Server {
    pub(super) port: u16,
    asked: Arc<Mutex<Asked>>,
}

impl Server {
    pub(super) fn start(script: Script) -> Self {
        Self::start_with(script, None)
    }

    pub(super) fn start_with(script: Script, tls: Option<ServerTlsConfig>) -> Self {
        let asked = Arc::new(Mutex::new(Asked::default()));
        let service = Service {
            script,
            asked: Arc::clone(&asked),
        };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap().port()).unwrap();
                let (health, health_service) = tonic_health::server::health_reporter();
                health
                    .set_service_status("readiness", ServingStatus::NotServing)
                    .await;
                let mut transport = Transport::builder();
                if let Some(tls) = tls {
                    transport = transport.tls_config(tls).unwrap();
                }
                transport
                    .add_service(BankCardServiceServer::new(service))
                    .add_service(health_service)
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await
                    .unwrap();
            });
        });
        Self {
            port: told.recv().unwrap(),
            asked,
        }
    }

    /// The address for people who need no certificate.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked last.
    pub(super) fn asked(&self) -> Asked {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

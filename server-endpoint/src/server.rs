//! Wiring: listeners, ledger, vault, ingress and desk, from the first connection to the last answer.
//!
//! A killed server is the same as a stopped one: what was answered is in the ledger, what was not is
//! submitted again. Stopping in good order only spares the agents the retry.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::{self, Authority, AuthorityError};
use crate::config::{self, Config, Deduplicate, Files};
use crate::desk::read_model::{self, ReadModel, ReadModelError};
use crate::desk::{self, Desk, Enrolling, Surroundings, Watched};
use crate::ingress::{Bounds, Door, Ingress, Way, accept_until};
use crate::inspection::clamd::{Clamd, Patience};
use crate::inspection::{Inspector, Pauses, Scanner, Steps};
use crate::ledger::sqlite::{self, SqliteLedger};
use crate::ledger::{DedupScope, Ledger, LedgerError, OutboxLedger, UploadBounds};
use crate::outbox;
use crate::service::Goals;
use crate::upkeep::Upkeep;
use crate::vault::{self, FsVault, Vault};

/// How long a scanner may take to say that it is there: it does so while it scans, too.
const SCANNER_ANSWERS: Duration = Duration::from_secs(10);

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without TLS, only this machine may be listened to.
    #[error(
        "{0} can be reached from other machines, and central would answer there without TLS; listen on a \
         loopback address such as 127.0.0.1:8470, or leave --insecure-loopback away"
    )]
    NotLoopback(SocketAddr),
    /// Certificates cannot be made or proven.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// There is nothing to serve.
    #[error("there is no ledger at {0}; make one with `branchline-server init`")]
    NoLedger(PathBuf),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The listener has no address.
    #[error("read the listener's address: {0}")]
    Listener(#[from] std::io::Error),
}

/// A server with its ledger open, ready to answer.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// `None`: nobody works here.
    desk: Option<DeskPart>,
    /// What a desk would stand on.
    store: Option<Arc<SqliteLedger>>,
    /// Outside systems that are told what happens.
    outbox: Vec<config::Target>,
    /// What tickets are counted by.
    goals: Goals,
    read_model: PathBuf,
    url: String,
    ledger: Arc<dyn Ledger>,
    vault: Arc<dyn Vault>,
    door: Door,
    bounds: Bounds,
    /// `None`: nobody inspects files here.
    inspector: Option<Inspector>,
    expire_after: Duration,
    drain: Duration,
}

/// The desk and where it listens.
struct DeskPart {
    listener: TcpListener,
    address: SocketAddr,
    around: Surroundings,
}

/// Why central runs without a desk.
#[derive(Debug, thiserror::Error)]
pub enum NoDesk {
    /// Without TLS, only this machine may be listened to.
    #[error("{0} can be reached from other machines, and the desk would answer there without TLS")]
    NotLoopback(SocketAddr),
    /// The read model's folder cannot be used.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// The listener has no address.
    #[error("read the desk's address: {0}")]
    Listener(#[from] std::io::Error),
}

/// Serves until `shutdown` resolves, then drains.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    Server::open(listener, config)?.run(shutdown).await;
    Ok(())
}

impl Server {
    /// Opens the ledger and the authority; refuses a listener that other machines could reach where it
    /// would answer without TLS.
    pub fn open(listener: TcpListener, config: &Config) -> Result<Self, ServeError> {
        let door = door(config)?;
        let address = address(&listener, &door)?;
        let path = config.data_dir.join(sqlite::FILE_NAME);
        if !path.exists() {
            return Err(ServeError::NoLedger(path));
        }
        let ledger = Arc::new(SqliteLedger::open(&path)?);
        let vault = FsVault::new(
            config.data_dir.join(vault::FOLDER),
            config.files.reserve_bytes(),
        );
        let vault = Arc::new(vault);
        let steps = Steps {
            ledger: ledger.clone(),
            vault: vault.clone(),
            scanner: scanner(&config.scanner),
        };
        let inspector = Inspector::new(steps, Pauses::default());
        Ok(Self {
            listener,
            address,
            desk: None,
            store: Some(ledger.clone()),
            outbox: config.outbox.clone(),
            // The file was read by the same rules.
            goals: config.service.goals().unwrap_or_default(),
            read_model: config.data_dir.join(read_model::FOLDER),
            url: config.url_for_agents(&door.authority.names()),
            ledger,
            vault,
            door,
            bounds: Bounds {
                uploads: uploads(&config.files),
                ..Bounds::default()
            },
            inspector: Some(inspector),
            expire_after: config.files.expire_after(),
            drain: config.drain(),
        })
    }

    /// A server on stores of the caller's, with bounds of the caller's, on which nobody
    /// inspects files: for tests.
    pub fn with_stores(
        listener: TcpListener,
        ledger: Arc<dyn Ledger>,
        vault: Arc<dyn Vault>,
        door: Door,
        bounds: Bounds,
    ) -> Result<Self, ServeError> {
        Ok(Self {
            address: address(&listener, &door)?,
            listener,
            desk: None,
            store: None,
            outbox: Vec::new(),
            goals: Goals::default(),
            read_model: PathBuf::new(),
            url: String::new(),
            ledger,
            vault,
            door,
            bounds,
            inspector: None,
            expire_after: Files::default().expire_after(),
            drain: Duration::from_secs(5),
        })
    }

    /// Opens the desk on a listener of its own. Where that fails, central takes what branches file all the
    /// same.
    pub fn open_desk(&mut self, listener: TcpListener) -> Result<SocketAddr, NoDesk> {
        let address = listener.local_addr()?;
        let way = match self.door.way {
            Way::Tls => desk::Way::Tls(self.door.authority.desk_config()),
            Way::InsecureLoopback if address.ip().to_canonical().is_loopback() => {
                desk::Way::InsecureLoopback
            }
            Way::InsecureLoopback => return Err(NoDesk::NotLoopback(address)),
        };
        let Some(store) = self.store.clone() else {
            return Ok(address);
        };
        let around = Surroundings {
            store,
            vault: self.vault.clone(),
            model: Arc::new(ReadModel::open_with(&self.read_model, self.goals.clone())?),
            way,
            enrolling: Enrolling {
                authority: self.door.authority.clone(),
                url: self.url.clone(),
            },
            watched: Watched {
                scanner: self
                    .inspector
                    .as_ref()
                    .map(Inspector::scanner_watch)
                    .unwrap_or_default(),
                targets: self.outbox.iter().map(|it| it.name.clone()).collect(),
            },
        };
        self.desk = Some(DeskPart {
            listener,
            address,
            around,
        });
        Ok(address)
    }

    /// Where the desk listens, if there is one.
    pub fn desk_address(&self) -> Option<SocketAddr> {
        self.desk.as_ref().map(|desk| desk.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https`, or `http` where it answers this machine alone.
    pub fn scheme(&self) -> &'static str {
        match self.door.way {
            Way::Tls => "https",
            Way::InsecureLoopback => "http",
        }
    }

    /// Answers until `shutdown` resolves, then finishes what is under way, within the drain time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let upkeep = Upkeep {
            ledger: self.ledger.clone(),
            vault: self.vault.clone(),
            expire_after: self.expire_after,
        };
        let authority = self.door.authority.clone();
        let ingress = Ingress::new(
            self.ledger,
            self.vault,
            self.door,
            self.bounds,
            stopping.clone(),
        );
        let connections = TaskTracker::new();
        let _stop_on_drop = stopping.clone().drop_guard();
        // A task of its own, so that a fault in it is its own.
        let until_stopped = stopping.clone();
        connections.spawn(async move { upkeep.until(&until_stopped).await });
        connections.spawn(authority.tend_until(stopping.clone()));
        if let Some(inspector) = self.inspector {
            connections.spawn(inspector.run(stopping.clone()));
        }
        if let Some(store) = self.store {
            let store: Arc<dyn OutboxLedger> = store;
            outbox::start(&self.outbox, &store, &connections, &stopping);
        }
        if let Some(part) = self.desk {
            ingress.tell(part.around.model.news());
            let desk = Desk::new(part.around, desk::Bounds::default(), stopping.clone());
            // Tasks of its own: whatever goes wrong there, ingress goes on.
            let (tended, accepting) = (desk.clone(), connections.clone());
            connections.spawn(async move { tended.tend().await });
            connections.spawn(async move {
                desk::accept_until(desk, part.listener, &accepting).await;
            });
        }
        let watching = async { tokio::join!(ingress.watch_news(), ingress.watch_revocations()) };
        let serving = async {
            let accepting = accept_until(ingress.clone(), self.listener, &connections);
            tokio::join!(accepting, watching);
        };
        let stop = async {
            shutdown.await;
            tracing::info!("stopping: finishing what is under way");
            stopping.cancel();
        };
        tokio::join!(serving, stop);
        connections.close();
        let drained = async {
            connections.wait().await;
            ingress.finish().await;
        };
        if tokio::time::timeout(self.drain, drained).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "stopped before everything was answered; agents will send it again"
            );
        }
    }
}

fn uploads(files: &Files) -> UploadBounds {
    UploadBounds {
        scope: match files.deduplicate {
            Deduplicate::Organisation => DedupScope::Organisation,
            Deduplicate::Branch => DedupScope::Branch,
        },
        agent_bytes: files.agent_bytes(),
        agent_files: files.agent_files,
        file_bytes: files.file_bytes(),
    }
}

fn scanner(config: &config::Scanner) -> Option<Scanner> {
    let socket = config.socket.clone()?;
    let patience = Patience {
        answer: SCANNER_ANSWERS,
        scan: config.timeout(),
    };
    Some(Scanner {
        clamd: Clamd::new(socket, patience),
        largest: config.largest_bytes(),
    })
}

fn door(config: &Config) -> Result<Door, ServeError> {
    let way = if config.insecure_loopback {
        Way::InsecureLoopback
    } else {
        Way::Tls
    };
    let folder = config.data_dir.join(authority::FOLDER);
    Ok(Door {
        authority: Authority::open(&folder, &config.tls, &config.authority)?,
        way,
        proxies: config.ingress.proxies.clone(),
        grace: config.authority.grace(),
    })
}

fn address(listener: &TcpListener, door: &Door) -> Result<SocketAddr, ServeError> {
    let address = listener.local_addr()?;
    if door.way == Way::Tls || address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err(ServeError::NotLoopback(address))
    }
}

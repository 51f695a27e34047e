//! Wiring: finds out who the agent is, binds the local API, opens the store, starts both lanes, and ends
//! them in order. Until this machine has joined, only the local API is there and says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use branchline_protocol::enrolment::JournalOf;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::intake::counter::{Counter, MembershipView};
use crate::intake::drop_folders::{DropFolders, Surroundings};
use crate::intake::local_api::{self, Desk};
use crate::intake::taking::FileIntake;
use crate::link::gate::Gate;
use crate::link::proxy::LinkSettings;
use crate::platform::{LocalListener, restrict_to_owner};
use crate::store::owner::journal_of;
use crate::store::{ChunkBounds, Store, StoreSettings};
use crate::sync::bulk::{BulkLane, BulkStatus, BulkView, rate};
use crate::sync::fetching::Fetching;
use crate::sync::membership::{Membership, MembershipSettings};
use crate::sync::{Appended, BulkSide, LinkWatch, LoopParts, SyncLoop, SyncStatus, UploadProgress};

/// How long requests under way may take at shutdown; what is saved is saved either way.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Runs the agent until `shutdown`. `ready` is called once the local API accepts connections.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let listener = LocalListener::bind(&config.socket)
        .with_context(|| format!("listen on {}", config.socket.display()))?;
    std::fs::create_dir_all(&config.data_dir).context("make the data folder")?;
    restrict_to_owner(&config.data_dir).context("protect the data folder")?;
    let tasks = TaskTracker::new();
    let entry = Entry::find(&config, &tasks, &shutdown);
    let view = MembershipView::new(entry.membership.clone(), config.server.clone());
    let counter = Counter::not_joined(view.clone());
    let serving = local_api::serve(listener, counter.clone(), shutdown.clone());
    if let Some(owner) = entry.owner.clone() {
        let desk = open_desk(config, owner, entry, view, &tasks, &shutdown).await?;
        counter.open(desk);
        tasks.spawn(serving);
        ready();
    } else {
        tasks.spawn(serving);
        ready();
        tracing::warn!("this computer has not joined central: nothing can be filed before");
        let joined = tokio::select! {
            identity = entry.membership.joined() => identity,
            () = shutdown.cancelled() => None,
        };
        if let Some(identity) = joined {
            let owner = identity.journal_of();
            let desk = open_desk(config, owner, entry, view, &tasks, &shutdown).await?;
            counter.open(desk);
        }
    }
    shutdown.cancelled().await;
    drain(&tasks).await;
    Ok(())
}

/// How this agent comes to central.
struct Entry {
    membership: Membership,
    /// Whose journal it is, where that is known.
    owner: Option<JournalOf>,
}

impl Entry {
    fn find(config: &Config, tasks: &TaskTracker, shutdown: &CancellationToken) -> Self {
        let (link, fault) = LinkSettings::of(config);
        if let Some(fault) = fault {
            tracing::error!(%fault, "the proxy's user name and password cannot be used");
        }
        let settings = MembershipSettings {
            folder: config.data_dir.clone(),
            sources: config.token_sources(),
            link,
            server: config.server.clone(),
            journal_of: journal_of(&config.data_dir),
        };
        let journal = settings.journal_of.clone();
        let (membership, task) = Membership::open(settings);
        tasks.spawn(task.run(shutdown.clone()));
        // A journal goes on under its own name, whatever became of the certificate: filing matters more.
        let own = membership.identity().map(|identity| identity.journal_of());
        Self {
            membership,
            owner: journal.or(own),
        }
    }
}

/// Opens the journal and starts everything that works with it.
async fn open_desk(
    config: Config,
    owner: JournalOf,
    entry: Entry,
    view: MembershipView,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> anyhow::Result<Arc<Desk>> {
    let store = open_store(&config, &owner).await?;
    tracing::info!(branch = %owner.branch, agent = %owner.agent, "the agent runs");
    let appended = Arc::new(Appended::default());
    let retention = config.retention();
    let bulk = BulkSide::default();
    let uploads = Arc::new(UploadProgress::default());
    let (watch, status) = LinkWatch::new();
    let (lane_status, lane_view) = watch::channel(BulkStatus::default());
    let bulk_view = BulkView {
        rate: follow_rates(&config, &store, &bulk.gate, tasks, shutdown)?,
        gate: bulk.gate.clone(),
        status: lane_view,
    };
    let parts = LoopParts {
        store: store.clone(),
        membership: entry.membership.clone(),
        appended: appended.clone(),
        bulk: bulk.clone(),
        retention,
        watch,
    };
    let lane = Lane {
        uploads: uploads.clone(),
        control: status.clone(),
        status: lane_status,
    };
    tasks.spawn(start_lanes(parts, lane, tasks.clone(), shutdown.clone()));
    let surroundings = Surroundings {
        store: store.clone(),
        appended: appended.clone(),
        agent: owner.agent,
        file_bytes: config.files.file_bytes(),
        own_folders: own_folders(&config),
        shutdown: shutdown.clone(),
    };
    let intake = Arc::new(FileIntake::new(store.clone(), config.files.file_bytes()));
    let colleagues = config.colleagues;
    let drop_folders = DropFolders::start(config.drop_folders, &surroundings, tasks);
    let (files, ended) = (store.clone(), shutdown.clone());
    tasks.spawn(async move { files.keep_files(retention, ended).await });
    Ok(Arc::new(Desk {
        intake,
        uploads,
        bulk: bulk_view,
        store,
        appended,
        sync: status,
        owner,
        membership: view,
        drop_folders,
        colleagues,
    }))
}

/// What the bulk lane is made of besides what both lanes have.
struct Lane {
    uploads: Arc<UploadProgress>,
    control: watch::Receiver<SyncStatus>,
    status: watch::Sender<BulkStatus>,
}

/// Starts both lanes once there is a way to central.
async fn start_lanes(
    parts: LoopParts,
    lane: Lane,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let link = tokio::select! {
        link = parts.membership.link() => link,
        () = shutdown.cancelled() => None,
    };
    let Some(link) = link else { return };
    let (store, bulk) = (parts.store.clone(), parts.bulk.clone());
    let bulk_link = link.bulk(bulk.gate);
    let fetching = Fetching::new(store.clone(), bulk_link.clone());
    tasks.spawn(fetching.run(shutdown.clone()));
    let lane = BulkLane::new(
        store,
        bulk_link,
        bulk.wake,
        lane.uploads,
        lane.control,
        lane.status,
    );
    tasks.spawn(lane.run(shutdown.clone()));
    if let Some(sync) = SyncLoop::open(parts, link, &shutdown).await {
        sync.run(shutdown).await;
    }
}

/// Keeps the gate at the rate that holds; gives whose it is, and what is wrong with the
/// configuration file, from then on.
fn follow_rates(
    config: &Config,
    store: &Store,
    gate: &Arc<Gate>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> anyhow::Result<watch::Receiver<rate::RateStatus>> {
    let own = rate::own(&config.bulk).map_err(anyhow::Error::msg)?;
    let (status, seen) = watch::channel(rate::RateStatus::default());
    let (path, gate, central) = (config.path.clone(), gate.clone(), store.policy());
    tasks.spawn(rate::follow(
        path,
        own,
        central,
        gate,
        status,
        shutdown.clone(),
    ));
    Ok(seen)
}

async fn drain(tasks: &TaskTracker) {
    tasks.close();
    let drained = tokio::time::timeout(DRAIN_WITHIN, tasks.wait()).await;
    if drained.is_err() {
        tracing::warn!("requests under way were cut off at shutdown");
    }
}

async fn open_store(config: &Config, owner: &JournalOf) -> anyhow::Result<Arc<Store>> {
    let settings = StoreSettings {
        folder: config.data_dir.clone(),
        limit_bytes: config.journal_limit_bytes(),
        branch: owner.branch.clone(),
        ordinal: owner.ordinal,
        agent: Some(owner.agent),
        chunks: ChunkBounds {
            quota_bytes: config.files.quota_bytes(),
            reserve_bytes: config.files.reserve_bytes(),
        },
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(settings, crate::ids::now()));
    Ok(Arc::new(opened.await??))
}

/// Where files lie that must never leave the branch: data, settings, and the secret.
fn own_folders(config: &Config) -> Vec<PathBuf> {
    let mut own = config.own_folders();
    own.push(config.data_dir.clone());
    own
}

//! Wiring: opens the store, binds the local API, starts the sync loop, and ends them in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Registration};
use crate::intake::drop_folders::{DropFolders, Surroundings};
use crate::intake::local_api::{self, Desk, Identity};
use crate::intake::taking::FileIntake;
use crate::link::Link;
use crate::link::gate::Gate;
use crate::platform::{LocalListener, restrict_to_owner};
use crate::store::{ChunkBounds, Store, StoreSettings};
use crate::sync::bulk::{BulkLane, BulkView, rate};
use crate::sync::{Appended, BulkSide, SyncLoop, UploadProgress};

/// How long requests under way may take at shutdown; what is saved is saved either way.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Runs the agent until `shutdown`. `ready` is called once the local API accepts connections.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let registration = Registration::read(&config.registration_path())?;
    let link = Link::new(&config.server, &registration.credentials)?;
    let listener = LocalListener::bind(&config.socket)
        .with_context(|| format!("listen on {}", config.socket.display()))?;
    let store = open_store(&config, &registration).await?;
    restrict_to_owner(&config.data_dir).context("protect the data folder")?;
    let appended = Arc::new(Appended::default());
    let retention = config.retention();
    let bulk = BulkSide::default();
    let bulk_link = link.bulk(bulk.gate.clone());
    let (sync, status) = SyncLoop::new(
        store.clone(),
        link,
        appended.clone(),
        bulk.clone(),
        retention,
    )
    .await?;
    let identity = identity(registration, &config);
    tracing::info!(branch = %identity.branch, agent = %identity.agent, "the agent runs");
    let intake = Arc::new(FileIntake::new(store.clone(), config.files.file_bytes()));
    let uploads = Arc::new(UploadProgress::default());
    let (lane, lane_status) = BulkLane::new(
        store.clone(),
        bulk_link,
        bulk.wake,
        uploads.clone(),
        status.clone(),
    );
    let tasks = TaskTracker::new();
    let bulk_view = BulkView {
        settings: follow_rates(&config, &bulk.gate, &tasks, &shutdown)?,
        gate: bulk.gate,
        status: lane_status,
    };
    let surroundings = Surroundings {
        store: store.clone(),
        appended: appended.clone(),
        agent: identity.agent,
        file_bytes: config.files.file_bytes(),
        own_folders: own_folders(&config),
        shutdown: shutdown.clone(),
    };
    let drop_folders = DropFolders::start(config.drop_folders, &surroundings, &tasks);
    let desk = Arc::new(Desk {
        intake,
        uploads,
        bulk: bulk_view,
        store,
        appended,
        sync: status,
        identity,
        drop_folders,
    });
    tasks.spawn(sync.run(shutdown.clone()));
    tasks.spawn(lane.run(shutdown.clone()));
    let (files, ended) = (desk.store.clone(), shutdown.clone());
    tasks.spawn(async move { files.keep_files(retention, ended).await });
    tasks.spawn(local_api::serve(listener, desk, shutdown.clone()));
    ready();
    shutdown.cancelled().await;
    drain(&tasks).await;
    Ok(())
}

/// Keeps the gate at the rate that holds; gives what is wrong with the configuration file from then on.
fn follow_rates(
    config: &Config,
    gate: &Arc<Gate>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> anyhow::Result<watch::Receiver<rate::SettingsFault>> {
    let timetable = config.bulk.plan().map_err(anyhow::Error::msg)?;
    let (fault, settings) = watch::channel(None);
    let (path, gate) = (config.path.clone(), gate.clone());
    tasks.spawn(rate::follow(path, timetable, gate, fault, shutdown.clone()));
    Ok(settings)
}

async fn drain(tasks: &TaskTracker) {
    tasks.close();
    let drained = tokio::time::timeout(DRAIN_WITHIN, tasks.wait()).await;
    if drained.is_err() {
        tracing::warn!("requests under way were cut off at shutdown");
    }
}

async fn open_store(config: &Config, registration: &Registration) -> anyhow::Result<Arc<Store>> {
    let settings = StoreSettings {
        folder: config.data_dir.clone(),
        limit_bytes: config.journal_limit_bytes(),
        branch: registration.branch.clone(),
        ordinal: registration.ordinal,
        agent: Some(registration.credentials.agent),
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

fn identity(registration: Registration, config: &Config) -> Identity {
    Identity {
        branch: registration.branch,
        ordinal: registration.ordinal,
        agent: registration.credentials.agent,
        server: config.server.clone(),
    }
}

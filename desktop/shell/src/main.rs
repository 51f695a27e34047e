//! The desktop client: a window onto the agent on the same machine, with an icon in the tray.
//!
//! The only user of Tauri. What the window shows and what becomes of what is written is the controller's;
//! this is the thin rest: one instance, window, tray, notifications, the file picker. The window may call the
//! client's own commands and nothing else (`capabilities/main.json`), and names no path.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod clipboard;
mod commands;
mod desk;
mod settings;
mod telling;
mod tray;
mod window;

use std::process::ExitCode;

use anyhow::Context;
use branchline_agent_api::Client;
use branchline_desktop_controller::Controller;
use branchline_desktop_controller::options::Options;
use clap::Parser;
use tauri::Manager;
use tokio_util::sync::CancellationToken;

use desk::Desk;
use settings::SettingsFile;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!(
                error = format!("{fault:#}"),
                "the desktop client cannot start"
            );
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what Tauri's macro writes ends the process where its own assets cannot be read"
)]
fn run(options: Options) -> anyhow::Result<()> {
    let app = tauri::Builder::default()
        // First, so that a second instance does nothing else.
        .plugin(tauri_plugin_single_instance::init(|app, args, _folder| {
            if let Ok(options) = Options::try_parse_from(args) {
                if !options.is_hidden() {
                    window::show(app);
                }
                desk::add_from_outside(app, options.files);
            }
        }))
        .plugin(tauri_plugin_notification::init())
        .plugin(tauri_plugin_dialog::init())
        .invoke_handler(commands::all())
        .on_window_event(window::on_event)
        .setup(move |app| {
            start(app, options)?;
            Ok(())
        })
        .build(tauri::generate_context!())
        .context("start the window system")?;
    app.run(|_, _| {});
    Ok(())
}

fn start(app: &mut tauri::App, options: Options) -> anyhow::Result<()> {
    let folder = match options.data_dir {
        Some(ref folder) => folder.clone(),
        None => app
            .path()
            .app_local_data_dir()
            .context("find the user's folder")?,
    };
    let settings = SettingsFile::open(&folder);
    // The package starts it for everybody; each person says whether they want that.
    if options.at_log_on && !settings.get().autostart {
        app.handle().exit(0);
        return Ok(());
    }
    let language = settings.language();
    let agent = Client::new(&options.socket()).context("speak to the agent")?;
    let controller = Controller::new(agent, &folder, language)
        .with_context(|| format!("use the folder {}", folder.display()))?;
    let desk = Desk::new(controller, settings);
    let controller = desk.controller.clone();
    app.manage(desk);
    let handle = app.handle().clone();
    tauri::async_runtime::spawn(telling::tell(handle.clone(), controller.events()));
    tauri::async_runtime::spawn(async move { controller.run(CancellationToken::new()).await });
    window::make(app)?;
    tray::set(&handle);
    if !options.is_hidden() {
        window::show(&handle);
    }
    desk::add_from_outside(&handle, options.files);
    Ok(())
}

//! What the controller says goes to the window, to the tray, and where it is news to the system's
//! notifications.

use branchline_desktop_controller::Event;
use branchline_desktop_controller::view::{Announcement, Told};
use tauri::{AppHandle, Manager};
use tauri_plugin_notification::NotificationExt;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::desk::Desk;
use crate::{tray, window};

/// Tells until the end of the program.
pub(crate) async fn tell(app: AppHandle, mut events: Receiver<Event>) {
    loop {
        let told = match events.recv().await {
            Ok(event) => heed(&app, event),
            // Some were missed: whatever they were, looking at everything anew shows it.
            Err(RecvError::Lagged(_)) => Told::Changed,
            Err(RecvError::Closed) => return,
        };
        app.state::<Desk>().tell(told);
    }
}

fn heed(app: &AppHandle, event: Event) -> Told {
    match event {
        Event::Situation(situation) => {
            tray::say(app, &situation);
            Told::Situation { situation }
        }
        Event::Changed => Told::Changed,
        Event::Drafts(drafts) => Told::Drafts { drafts },
        Event::Announce(announcement) => {
            notify(app, &announcement);
            Told::Announce { announcement }
        }
        Event::Saved(announcement) => {
            // Whoever looks at the window reads it there.
            if !window::is_looked_at(app) {
                notify(app, &announcement);
            }
            Told::Saved { announcement }
        }
    }
}

fn notify(app: &AppHandle, announcement: &Announcement) {
    if !app.state::<Desk>().settings.get().notifications {
        return;
    }
    let shown = app
        .notification()
        .builder()
        .title(&announcement.title)
        .body(&announcement.body)
        .show();
    if let Err(fault) = shown {
        tracing::warn!(error = %fault, "show a notification");
    }
}

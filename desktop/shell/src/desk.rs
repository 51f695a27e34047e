//! What the commands work with, and how files come in from outside the window.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use branchline_agent_api::Client;
use branchline_desktop_controller::Controller;
use branchline_desktop_controller::view::Told;
use branchline_protocol::id::OperationId;
use tauri::ipc::Channel;
use tauri::{AppHandle, Manager};

use crate::settings::SettingsFile;

/// One for the program.
pub(crate) struct Desk {
    pub(crate) controller: Arc<Controller<Client>>,
    pub(crate) settings: SettingsFile,
    /// What is being written in the window.
    attended: Mutex<Option<OperationId>>,
    /// The window's ear; a page that was loaded anew has another.
    ear: Mutex<Option<Channel<Told>>>,
    /// What was said before it had one: how the program was asked to begin.
    unheard: Mutex<Vec<Told>>,
}

/// Things to say that wait for the window's page.
const UNHEARD: usize = 8;

impl Desk {
    pub(crate) fn new(controller: Controller<Client>, settings: SettingsFile) -> Self {
        Self {
            controller: Arc::new(controller),
            settings,
            attended: Mutex::default(),
            ear: Mutex::default(),
            unheard: Mutex::default(),
        }
    }

    pub(crate) fn attend(&self, draft: Option<OperationId>) {
        *self.attended.lock().unwrap_or_else(PoisonError::into_inner) = draft;
    }

    pub(crate) fn listen(&self, ear: Channel<Told>) {
        *self.ear.lock().unwrap_or_else(PoisonError::into_inner) = Some(ear);
        let unheard =
            std::mem::take(&mut *self.unheard.lock().unwrap_or_else(PoisonError::into_inner));
        for told in unheard {
            self.tell(told);
        }
    }

    /// Tells the window.
    pub(crate) fn tell(&self, told: Told) {
        let ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ear) = ear.as_ref() {
            if let Err(fault) = ear.send(told) {
                tracing::debug!(error = %fault, "tell the window");
            }
        } else if matches!(told, Told::New | Told::Open { .. } | Told::Added { .. }) {
            let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
            if unheard.len() < UNHEARD {
                unheard.push(told);
            }
        }
    }
}

/// Adds files that were dropped on the window, or given to the program, to what is being written there; to a
/// new ticket where nothing is.
pub(crate) fn add_from_outside(app: &AppHandle, paths: Vec<PathBuf>) {
    if paths.is_empty() {
        return;
    }
    let desk = app.state::<Desk>();
    let attended = *desk.attended.lock().unwrap_or_else(PoisonError::into_inner);
    let id = match attended {
        Some(id) => Ok(id),
        None => desk.controller.draft(None).and_then(|draft| {
            desk.tell(Told::New);
            draft.id.parse().map_err(|fault| format!("{fault}"))
        }),
    };
    let (draft, trouble) = match id.and_then(|id| desk.controller.add_files(id, paths)) {
        Ok(draft) => (Some(draft), None),
        Err(words) => (None, Some(words)),
    };
    desk.tell(Told::Added { draft, trouble });
}

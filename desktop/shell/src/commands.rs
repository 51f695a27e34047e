//! What the window may ask for. Each is a line to the controller; errors are sentences for the person.

#![allow(
    clippy::unused_async,
    reason = "Tauri runs an async command beside the window's thread, and a disk makes its caller wait"
)]

use branchline_desktop_controller::given::offered_name;
use branchline_desktop_controller::options::VERSION;
use branchline_desktop_controller::view::{
    DraftText, DraftView, FileKept, Form, HandedIn, Settings, Startup, TicketPage, TicketView, Told,
};
use branchline_protocol::id::{FileId, OperationId};
use tauri::ipc::{Channel, Invoke, InvokeBody, Request};
use tauri::{AppHandle, Manager, State, Wry};
use tauri_plugin_dialog::{DialogExt, FileDialogBuilder};

use crate::desk::Desk;
use crate::tray;

pub(crate) fn all() -> impl Fn(Invoke<Wry>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        attend,
        discard,
        draft,
        follow,
        form,
        hand_in,
        paste,
        paste_picture,
        pick_files,
        remove_file,
        save_given,
        set_settings,
        start,
        ticket,
        tickets,
        withdraw,
        write,
    ]
}

type Desks<'a> = State<'a, Desk>;

fn id(text: &str) -> Result<OperationId, String> {
    text.parse().map_err(|fault| format!("{fault}"))
}

#[tauri::command]
async fn start(desk: Desks<'_>) -> Result<Startup, String> {
    Ok(startup(&desk))
}

fn startup(desk: &Desk) -> Startup {
    Startup {
        language: desk.controller.language().code().to_owned(),
        settings: desk.settings.get(),
        situation: desk.controller.situation(),
        drafts: desk.controller.drafts_begun(),
        version: VERSION.to_owned(),
    }
}

#[tauri::command]
async fn follow(desk: Desks<'_>, channel: Channel<Told>) -> Result<(), String> {
    desk.listen(channel);
    Ok(())
}

#[tauri::command]
async fn tickets(
    desk: Desks<'_>,
    search: String,
    mine: bool,
    before: Option<u32>,
) -> Result<TicketPage, String> {
    desk.controller.tickets(&search, mine, before).await
}

#[tauri::command]
async fn ticket(desk: Desks<'_>, number: String) -> Result<TicketView, String> {
    desk.controller.ticket(&number).await
}

#[tauri::command]
async fn withdraw(desk: Desks<'_>, number: String, reason: String) -> Result<(), String> {
    desk.controller.withdraw(&number, &reason).await
}

#[tauri::command]
async fn form(desk: Desks<'_>) -> Result<Form, String> {
    Ok(desk.controller.form())
}

#[tauri::command]
async fn draft(desk: Desks<'_>, on: Option<String>) -> Result<DraftView, String> {
    desk.controller.draft(on.as_deref())
}

#[tauri::command]
async fn write(desk: Desks<'_>, id: String, text: DraftText) -> Result<DraftView, String> {
    desk.controller.write(self::id(&id)?, text)
}

#[tauri::command]
async fn pick_files(app: AppHandle, desk: Desks<'_>, id: String) -> Result<DraftView, String> {
    let id = self::id(&id)?;
    let (picked, answer) = tokio::sync::oneshot::channel();
    picker(&app)
        .set_title(desk.controller.language().words().add_files)
        .pick_files(move |paths| {
            let _ = picked.send(paths);
        });
    let paths = answer.await.ok().flatten().unwrap_or_default();
    let paths = paths.into_iter().filter_map(|path| path.into_path().ok());
    desk.controller.add_files(id, paths.collect())
}

fn picker(app: &AppHandle) -> FileDialogBuilder<Wry> {
    let dialog = app.dialog().file();
    match app.get_webview_window(crate::window::LABEL) {
        Some(window) => dialog.set_parent(&window),
        None => dialog,
    }
}

/// Puts a file that central gave where its person chooses; the picker asks before it replaces another.
#[tauri::command]
async fn save_given(app: AppHandle, desk: Desks<'_>, id: String) -> Result<FileKept, String> {
    let id: FileId = id.parse().map_err(|fault| format!("{fault}"))?;
    let file = match desk.controller.given(id).await {
        Ok(file) => file,
        Err(refused) => return Ok(refused),
    };
    let (picked, answer) = tokio::sync::oneshot::channel();
    picker(&app)
        .set_title(desk.controller.language().words().save_as)
        .set_file_name(offered_name(&file))
        .save_file(move |path| {
            let _ = picked.send(path);
        });
    let path = answer.await.ok().flatten();
    match path.and_then(|path| path.into_path().ok()) {
        Some(path) => Ok(desk.controller.keep_given(file, path).await),
        None => Ok(FileKept::Left),
    }
}

/// The bytes are the body; which draft, and the name, stand in headers.
#[tauri::command]
async fn paste(desk: Desks<'_>, request: Request<'_>) -> Result<DraftView, String> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let id = id(header("draft"))?;
    let name = unescaped(header("name"));
    match request.body() {
        InvokeBody::Raw(bytes) => desk.controller.add_pasted(id, &name, bytes),
        InvokeBody::Json(json) => {
            // An old web view sends no bytes as such.
            let bytes: Vec<u8> =
                serde_json::from_value(json.clone()).map_err(|fault| fault.to_string())?;
            desk.controller.add_pasted(id, &name, &bytes)
        }
    }
}

/// Adds the picture on the clipboard, if there is one: for a window that is not told of it.
#[tauri::command]
async fn paste_picture(
    app: AppHandle,
    desk: Desks<'_>,
    id: String,
    name: String,
) -> Result<Option<DraftView>, String> {
    let id = self::id(&id)?;
    match crate::clipboard::picture(&app).await {
        Some(png) => desk.controller.add_pasted(id, &name, &png).map(Some),
        None => Ok(None),
    }
}

/// Undoes what `encodeURIComponent` does.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| behind.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            behind.get(2..).unwrap_or_default()
        } else {
            behind
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tauri::command]
async fn remove_file(desk: Desks<'_>, id: String, file: String) -> Result<DraftView, String> {
    let file = self::id(&file)?;
    desk.controller.remove_file(self::id(&id)?, file)
}

#[tauri::command]
async fn discard(desk: Desks<'_>, id: String) -> Result<(), String> {
    desk.controller.discard(self::id(&id)?)
}

#[tauri::command]
async fn hand_in(desk: Desks<'_>, id: String) -> Result<HandedIn, String> {
    Ok(desk.controller.hand_in(self::id(&id)?).await)
}

#[tauri::command]
async fn attend(desk: Desks<'_>, id: Option<String>) -> Result<(), String> {
    desk.attend(id.as_deref().map(self::id).transpose()?);
    Ok(())
}

#[tauri::command]
async fn set_settings(
    app: AppHandle,
    desk: Desks<'_>,
    settings: Settings,
) -> Result<Startup, String> {
    desk.settings.set(settings);
    desk.controller.set_language(desk.settings.language());
    tray::set(&app);
    Ok(startup(&desk))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_come_through_a_header() {
        assert_eq!(
            super::unescaped("Capture%20%C3%A9cran%25.png"),
            "Capture écran%.png"
        );
        assert_eq!(super::unescaped("100%"), "100%");
        assert_eq!(super::unescaped("%zz%4"), "%zz%4");
    }
}

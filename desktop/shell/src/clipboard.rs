//! The system's clipboard, where the window's engine says nothing of what is on it: WebKitGTK shows a page no
//! picture that somebody copied (WebKit bug 320303). Read only when the person has just pasted.

use tauri::AppHandle;

/// The picture on the clipboard as PNG, which every tool for screenshots offers; it is not decoded here.
#[cfg(target_os = "linux")]
pub(crate) async fn picture(app: &AppHandle) -> Option<Vec<u8>> {
    use gtk::gdk::{Atom, SELECTION_CLIPBOARD};
    let (found, answer) = tokio::sync::oneshot::channel();
    // GTK knows one thread; whose clipboard it is may take its time, and is not waited for there.
    let asked = app.run_on_main_thread(move || {
        let clipboard = gtk::Clipboard::get(&SELECTION_CLIPBOARD);
        clipboard.request_contents(&Atom::intern("image/png"), move |_, picture| {
            let bytes = (picture.length() > 0).then(|| picture.data());
            let _ = found.send(bytes);
        });
    });
    asked.ok()?;
    answer.await.ok().flatten()
}

/// Elsewhere the page is told itself.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn picture(_app: &AppHandle) -> Option<Vec<u8>> {
    None
}

//! The desktop client's real window over a real agent, a real central and a real scanner, on a screen of its
//! own: what an employee sees while central and the agent go and come (P1, P2, P10).

mod by_hand;

use std::path::Path;

use branchline_agent_api::{Client, FileTicket};
use branchline_desktop_controller::view::{FileKept, GivenFileView, Settings};
use branchline_desktop_controller::{Controller, Language};
use branchline_protocol::id::FileId;
use harness::clamd::Clamd;
use harness::desktop::{Screen, Window};
use harness::processes::{Branch, Central, sandbox, succeeded, ticket, wait_for, wait_until};
use harness::programs::binary;
use tempfile::TempDir;

use crate::desk::Support;

const CONTROL: &str = "\u{e009}";
const TAB: &str = "\u{e004}";
/// The line that is always there.
const LINE: &str = "return document.querySelector('.link').innerText";
/// How the rungs are, in order.
const RUNGS: &str =
    "return [...document.querySelectorAll('.ladder li')].map((li) => li.className).join(' ')";

struct World {
    screen: Screen,
    branch: Branch,
    central: Central,
    _clamd: Clamd,
    sandbox: TempDir,
}

impl World {
    /// A branch that has joined, and a central that is down.
    fn new() -> Self {
        let sandbox = sandbox();
        let clamd = Clamd::start(sandbox.path());
        let central = Central::init(sandbox.path());
        central.configure(&clamd.server_toml());
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        Self {
            screen: Screen::start(sandbox.path()),
            branch,
            central,
            _clamd: clamd,
            sandbox,
        }
    }

    async fn open(&self) -> Window {
        self.screen.open(&self.branch.socket()).await
    }

    fn file(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.sandbox.path().join(name);
        std::fs::write(&path, bytes).expect("write a file");
        path
    }
}

/// Keeps a picture in both themes where somebody asked for pictures.
async fn picture(window: &Window, name: &str) {
    let Some(folder) = std::env::var_os("BRANCHLINE_PICTURES") else {
        return;
    };
    let page = &window.session;
    // WebKit takes a picture with the next frame, and draws none while nothing changes.
    let draw = "window.drawing = setInterval(() => { const { style } = document.body; \
                style.opacity = style.opacity === '1' ? '0.999' : '1'; }, 50); \
                window.scrollTo(0, 0); return true";
    page.script(draw).await;
    for (theme, set) in [
        ("light", "delete document.documentElement.dataset.theme"),
        ("dark", "document.documentElement.dataset.theme = 'dark'"),
    ] {
        page.script(&format!("{set}; return true")).await;
        let picture = page.picture().await;
        let path = Path::new(&folder).join(format!("{name}-{theme}.png"));
        std::fs::write(path, picture).expect("keep a picture");
    }
    let end = "clearInterval(window.drawing); document.body.style.opacity = ''; \
               delete document.documentElement.dataset.theme; return true";
    page.script(end).await;
}

/// A file that central has clean, and sends with its answer.
fn answer_with_a_file(central: &Central, name: &str, content: &[u8]) -> FileId {
    let support = Support::program(central);
    let taken = support.give("LYN-000001", name, content);
    assert_eq!(taken.status, 201, "{}", taken.text());
    let id = taken.json()["id"].as_str().expect("an id").to_owned();
    support.wait_given(&id, "clean");
    let text = "Which label is below it? Here is how the rollers are cleaned.";
    let reply = ["tickets", "reply", "LYN-000001", text];
    let with = ["--file", &id, "--then", "waiting"];
    succeeded(&central.cli(&[&reply[..], &with].concat()));
    id.parse().expect("an id")
}

#[tokio::test]
async fn desktop_a_ticket_climbs_the_ladder_and_its_answer_is_announced() {
    let mut world = World::new();
    let window = world.open().await;
    let page = &window.session;
    page.until_text("No connection since").await;

    // By keyboard alone, but for the file.
    page.keys(&[CONTROL, "n"]).await;
    let subject = page.find("input[data-first]").await;
    page.type_into(&subject, "The scanner at till 2 pulls in two sheets")
        .await;
    page.keys(&[TAB]).await;
    let text = page.find("textarea").await;
    page.type_into(&text, "Since this morning.").await;
    let scan = world.file("scan-0412.pdf", b"%PDF-1.4\nwhat the scanner made\n");
    world.screen.send_to(&world.branch.socket(), &[&scan]);
    page.until_text("scan-0412.pdf").await;
    picture(&window, "form").await;
    // Control and Enter do the same; WebKit's driver then waits without end, as in `press`.
    page.press("Save ticket").await;
    page.until_text("Saved as LYN-000001.").await;
    page.until_text("1 ticket and 1 file are waiting. Nothing is lost.")
        .await;
    picture(&window, "saved").await;
    // Said, and so.
    let shown = succeeded(&world.branch.cli(&["ticket", "show", "LYN-000001"]));
    assert!(shown.contains("scan-0412.pdf"), "{shown}");

    page.press_one_of(&["Show this ticket", "Show"]).await;
    page.until(
        "the first rung",
        &format!("{RUNGS} === 'done now ahead ahead ahead'"),
    )
    .await;
    picture(&window, "waiting").await;
    world.central.start();
    page.until(
        "the last rung",
        &format!("{RUNGS} === 'done done done done done'"),
    )
    .await;
    page.until_text("Connected. Everything has been sent.")
        .await;

    answer_with_a_file(&world.central, "cleaning.pdf", b"%PDF-1.4\nhow to clean\n");
    page.until_text("Which label is below it?").await;
    // What comes with an answer can be saved as soon as it is on this computer.
    page.until_text("Save as …").await;
    page.until(
        "the answer's file",
        "return document.querySelector('.entry.answer .file-list')?.innerText.includes('cleaning.pdf')",
    )
    .await;
    page.until_text("Central support asks you something").await;
    wait_for("the system's notification", || {
        world
            .screen
            .notifications()
            .contains("Central support asks you something")
            .then_some(())
    });
    picture(&window, "answered").await;
    let answer = page.find(".addition textarea").await;
    page.type_into(&answer, "SC-2210-B").await;
    page.press("Save message").await;
    page.until_text("Saved. It is sent by itself.").await;
    world.branch.wait_drained().await;
    world.central.assert_equal(&world.branch);
}

#[tokio::test]
async fn desktop_p1_nothing_is_lost_when_agent_and_client_are_killed_while_somebody_types() {
    let mut world = World::new();
    world.central.start();
    let window = world.open().await;
    let page = &window.session;
    page.find(".link").await;
    page.keys(&[CONTROL, "n"]).await;
    let subject = page.find("input[data-first]").await;
    page.type_into(&subject, "The till is").await;
    world.branch.kill();
    page.until_text("has not answered since").await;
    page.type_into(&subject, " dark").await;
    page.until_text("Kept on this computer").await;
    page.until(
        "what was typed to be kept",
        "return !document.querySelector('.kept').innerText.includes('Keeping')",
    )
    .await;
    // The client, too.
    drop(window);

    let window = world.open().await;
    let page = &window.session;
    page.until_text("has not answered since").await;
    page.press("Continue").await;
    page.until(
        "what was typed",
        "return document.querySelector('input[data-first]')?.value === 'The till is dark'",
    )
    .await;
    page.find("input[data-first]").await;
    page.press("Save ticket").await;
    page.until_text("Not saved yet").await;
    let said = page.text().await;
    assert!(!said.contains("Saved as"), "{said}");
    picture(&window, "agent-away").await;
    // Handed in, and killed again before the agent is back.
    drop(window);
    let window = world.open().await;
    let page = &window.session;
    page.until_text("It is saved by itself.").await;
    world.branch.start();
    page.until_text("Saved as LYN-000001.").await;
    let line = page.until("the line", LINE).await;
    assert!(
        !line
            .as_str()
            .unwrap_or_default()
            .contains("has not answered"),
        "{line}"
    );
    world.branch.wait_drained().await;
    world.central.assert_equal(&world.branch);
    let listed = succeeded(&world.central.cli(&["tickets", "list"]));
    assert_eq!(listed.matches("The till is dark").count(), 1, "{listed}");
}

/// How the one answer's file stands, as the window would show it.
async fn given(controller: &Controller<Client>) -> Option<GivenFileView> {
    let ticket = controller.ticket("LYN-000001").await.ok()?;
    ticket
        .entries
        .into_iter()
        .flat_map(|entry| entry.files)
        .next()
}

fn refused(said: &FileKept) -> String {
    match said {
        FileKept::Refused { trouble } => format!("{} {}", trouble.what, trouble.todo),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// What stands behind the picker, with a real agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn desktop_p4_a_file_of_an_answer_is_whole_where_it_is_wanted_or_not_there() {
    let sandbox = sandbox();
    let clamd = Clamd::start(sandbox.path());
    let mut central = Central::init(sandbox.path());
    central.configure(&clamd.server_toml());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    branch.file("The scanner eats paper").await;
    branch.wait_drained().await;
    Support::program(&central).ticket("LYN-000001");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    let file = answer_with_a_file(&central, "../cleaning.pdf", &content);
    let home = sandbox.path().join("home");
    let controller = Controller::new(branch.client(), &home, Language::En).expect("a controller");
    wait_until("the file", || async {
        given(&controller).await.filter(|file| file.here)
    })
    .await;

    // Neither central nor the link is needed any more.
    central.kill();
    let offered = controller.given(file).await.expect("the file is here");
    let to = sandbox.path().join("mine.pdf");
    let said = controller.keep_given(offered.clone(), to.clone()).await;
    assert!(matches!(said, FileKept::Kept { .. }), "{said:?}");
    assert!(std::fs::read(&to).expect("read it") == content);

    // Decayed on the agent's disk, and then an agent that is away: what was saved stays.
    let kept = branch.data().join("given").join(file.to_string());
    let mut decayed = content.clone();
    decayed[2_000_000] ^= 1;
    std::fs::write(&kept, decayed).expect("let it decay");
    let said = refused(&controller.keep_given(offered.clone(), to.clone()).await);
    assert!(said.contains("damaged"), "{said}");
    branch.kill();
    let said = refused(&controller.keep_given(offered, to.clone()).await);
    assert!(said.contains("does not answer"), "{said}");
    let said = refused(&controller.given(file).await.expect_err("no agent"));
    assert!(said.contains("try again"), "{said}");
    assert!(std::fs::read(&to).expect("read it") == content);
    let names = std::fs::read_dir(sandbox.path()).expect("look beside it");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    let left: Vec<_> = names
        .filter(|name| name.to_string_lossy().ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn desktop_starts_at_log_on_unless_its_person_has_switched_that_off() {
    let sandbox = sandbox();
    let screen = Screen::start(sandbox.path());
    let socket = sandbox.path().join("no-agent.sock");
    let start = || {
        let mut command = screen.command(&binary("branchline-desktop"));
        command
            .arg("--at-log-on")
            .env("BRANCHLINE_SOCKET", &socket)
            .spawn()
            .expect("start the client")
    };
    std::fs::create_dir_all(screen.data()).expect("make its folder");
    let settings = screen.data().join("settings.json");
    let off = Settings {
        autostart: false,
        ..Settings::default()
    };
    let off = serde_json::to_vec(&off).expect("settings as JSON");
    std::fs::write(&settings, off).expect("switch it off");
    let ended = start().wait().expect("await the client");
    assert!(ended.success(), "{ended}");
    let drafts = screen.data().join("drafts");
    assert!(!drafts.exists(), "it did begin");

    // As it is for who has switched nothing.
    std::fs::remove_file(&settings).expect("as at first");
    let mut client = start();
    wait_for("the client", || drafts.exists().then_some(()));
    assert!(client.try_wait().expect("ask for the client").is_none());
    client.kill().expect("end the client");
    client.wait().expect("await the client");
}

#[tokio::test]
async fn desktop_thousands_of_tickets_are_scrolled_through_and_searched() {
    const TICKETS: usize = 5_000;
    let world = World::new();
    let client = world.branch.client();
    world.branch.file("The zebra is at the till").await;
    let mut filing = tokio::task::JoinSet::new();
    for lane in 0..20 {
        let client = client.clone();
        filing.spawn(async move {
            for n in 0..TICKETS / 20 {
                let filed: FileTicket = ticket(&format!("Trouble {lane} {n}"));
                client.file_ticket(&filed).await.expect("file a ticket");
            }
        });
    }
    while let Some(ended) = filing.join_next().await {
        ended.expect("a filer ends");
    }
    let window = world.open().await;
    let page = &window.session;
    page.until_text("LYN-005001").await;
    // Down to the first one, page by page; what is drawn stays little.
    page.until(
        "the end of the list",
        "const rows = document.querySelector('.rows'); rows.scrollTop = rows.scrollHeight;
         if (rows.querySelectorAll('button').length > 80) throw new Error('too many are drawn');
         return rows.innerText.includes('LYN-000001')",
    )
    .await;
    let search = page.find("input[type=search]").await;
    page.type_into(&search, "zebra till").await;
    page.until(
        "the search's end",
        "return document.querySelectorAll('.row').length === 1",
    )
    .await;
    page.until_text("The zebra is at the till").await;
}

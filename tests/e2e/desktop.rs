//! The desktop client's real window over a real agent, a real central and a real scanner, on a screen of its
//! own: what an employee sees while central and the agent go and come (P1, P2, P10).

use std::path::Path;

use branchline_agent_api::FileTicket;
use harness::clamd::Clamd;
use harness::desktop::{Screen, Window};
use harness::processes::{Branch, Central, sandbox, succeeded, ticket, wait_for};
use tempfile::TempDir;

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

/// Keeps a picture where somebody asked for pictures.
async fn picture(window: &Window, name: &str) {
    if let Some(folder) = std::env::var_os("BRANCHLINE_PICTURES") {
        let picture = window.session.picture().await;
        let path = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, picture).expect("keep a picture");
    }
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

    page.press("Show this ticket").await;
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

    let reply = [
        "tickets",
        "reply",
        "LYN-000001",
        "Which label is below it?",
        "--then",
        "waiting",
    ];
    succeeded(&world.central.cli(&reply));
    page.until_text("Which label is below it?").await;
    // It came with an answer and a question; the window shows the latter, the system is told of both.
    page.until_text("Central support asks you something").await;
    wait_for("the system's notification", || {
        world
            .screen
            .notifications()
            .contains("Central support has answered")
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

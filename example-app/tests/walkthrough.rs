//! The walkthrough of the README, as a person would type it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

fn app(db: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-app"));
    command.arg("--db").arg(db).args(arguments).env_remove("SEASYNC_TOKEN");
    command
}

fn run(db: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = app(db, arguments).output().expect("the program runs");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{arguments:?}\n{out}\n{err}");
    out.into_owned()
}

/// A device that serves; ended when the test ends.
struct Served {
    child: Child,
    library: String,
    url: String,
}

impl Served {
    fn start(db: &Path, token: &str) -> Self {
        let mut child = app(db, &["serve", "--listen", "127.0.0.1:0", "--token", token])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("its first line");
        // `library 018f… at http://127.0.0.1:40123`
        let words: Vec<&str> = line.split_whitespace().collect();
        Self { child, library: words[1].to_owned(), url: words[3].to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn some_files(dir: &Path) {
    std::fs::create_dir_all(dir.join("letters/old")).expect("directories");
    for at in 0..20 {
        std::fs::write(dir.join(format!("letters/{at}.md")), "dear").expect("a file");
        std::fs::write(dir.join(format!("letters/old/{at}.toml")), "[dear]").expect("a file");
    }
}

/// Another program gives the letter another name.
fn rename(db: &Path, name: &str) {
    let update = format!("UPDATE entries SET name = '{name}' WHERE name = '3.md'");
    let status = Command::new("sqlite3").arg(db).arg(".timeout 5000").arg(update).status();
    assert!(status.expect("the sqlite3 program").success());
}

#[test]
fn two_devices_share_what_one_of_them_indexed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = folder.path().join("files");
    some_files(&files);
    let (desk, sofa) = (folder.path().join("desk.db"), folder.path().join("sofa.db"));
    let dir = files.to_str().expect("a path");
    let letter = files.join("letters/3.md");
    let letter = letter.to_str().expect("a path");

    assert!(run(&desk, &["index", dir]).contains("42 added, 0 updated, 0 removed"));
    assert!(run(&desk, &["index", dir]).contains("0 added, 0 updated, 0 removed"));
    run(&desk, &["tag", "dear", letter]);
    run(&desk, &["note", letter, "write back"]);
    let listed = run(&desk, &["ls", files.join("letters").to_str().expect("a path")]);
    assert!(listed.contains("3.md") && listed.contains("dear") && listed.contains("write back"), "{listed}");

    let served = Served::start(&desk, "a-long-enough-token-for-a-test");
    let wrong =
        app(&sofa, &["--library", &served.library, "sync", &served.url, "--token", "another-token-entirely"])
            .output()
            .expect("the program runs");
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("credentials"), "{wrong:?}");

    let sync = ["sync", &served.url, "--token", "a-long-enough-token-for-a-test"];
    let synced = run(&sofa, &sync);
    assert!(synced.contains("in sync"), "{synced}");
    let listed = run(&sofa, &["ls"]);
    assert!(listed.contains("42"), "{listed}");
    run(&sofa, &["tag", "answered", letter]);
    assert!(run(&sofa, &sync).contains("in sync"));

    assert!(run(&sofa, &["verify"]).contains("all is as it should be"));
    let status = run(&sofa, &["status"]);
    assert!(status.contains("digest") && status.contains("its clock is "), "{status}");
    assert!(run(&sofa, &["log"]).contains("entry_tag"));

    run(&desk, &["tag", "urgent", letter]);
    run(&desk, &["note", letter, "from the desk"]);
    run(&sofa, &["note", letter, "from the sofa"]);
    rename(&desk, "letter of the desk");
    rename(&sofa, "letter of the sofa");
    assert!(run(&sofa, &sync).contains("2 conflicts"));
    let conflicts = run(&sofa, &["conflicts"]);
    assert!(!conflicts.contains("from the desk"), "the merge function kept both notes: {conflicts}");
    let line = conflicts.lines().find(|line| line.contains("of the desk"));
    let line = line.unwrap_or_else(|| panic!("the name that was lost: {conflicts}"));
    assert!(line.contains("of the sofa"), "what stands is beside it: {line}");
    let id = line.split_whitespace().nth(1).expect("its number");
    let some = run(&sofa, &["conflicts", "--field", "name", "--reason", "concurrent_write", "--hours", "1"]);
    assert!(some.contains("of the desk"), "{some}");
    assert!(!run(&sofa, &["conflicts", "--model", "tag"]).contains("of the desk"));
    let counted = run(&sofa, &["conflicts", "--per", "day"]);
    assert!(counted.lines().any(|line| line.contains(":00") && line.contains(" 1 ")), "{counted}");
    run(&sofa, &["resolve", id, "loser"]);
    assert!(!run(&sofa, &["conflicts"]).contains("of the desk"));
    assert!(run(&sofa, &["conflicts", "--all"]).contains("(settled)"));
    assert!(run(&sofa, &sync).contains("in sync"));
    let listed = run(&desk, &["ls", files.join("letters").to_str().expect("a path")]);
    let kept = ["letter of the desk", "from the desk", "from the sofa", "urgent"];
    assert!(kept.iter().all(|kept| listed.contains(kept)), "{listed}");
    assert!(!run(&desk, &["conflicts"]).contains("of the sofa"), "settled on the other device too");
    let again = app(&sofa, &["resolve", id, "winner"]).output().expect("the program runs");
    assert!(String::from_utf8_lossy(&again.stderr).contains("no open conflict"), "{again:?}");
}

#[test]
fn the_demonstration_ends_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = folder.path().join("files");
    some_files(&files);
    let dir = files.to_str().expect("a path");
    let out = run(&folder.path().join("unused.db"), &["demo", dir, "--least", "10"]);
    assert!(out.contains("Digests and rows are equal on all three devices."), "{out}");
    let few = app(&folder.path().join("unused.db"), &["demo", dir]).output().expect("the program runs");
    assert!(!few.status.success() && String::from_utf8_lossy(&few.stderr).contains("wants at least 10000"));
}

//! What a reader may rely on in the source: layers, sizes, headings.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The steps of `sync-core`, in order; a step uses only those before it.
const STEPS: [&[&str]; 12] = [
    &["runtime", "ids", "value", "stamp", "vector", "change", "scope"],
    &["merge"],
    &["model"],
    &["store"],
    &["ledger"],
    &["capture"],
    &["apply"],
    &["members"],
    &["peer"],
    &["engine"],
    &["testing"],
    &["conformance"],
];

/// A file has one job; beyond this it has two.
const LONGEST_FILE: usize = 450;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no source in {folder}");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("a file of the workspace").display().to_string()
}

fn step_of(module: &str) -> Option<usize> {
    STEPS.iter().position(|step| step.contains(&module))
}

/// The modules of the crate that `text` names, outside comments.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut named = Vec::new();
    let mut rest = code.as_str();
    while let Some(at) = rest.find("crate::") {
        rest = &rest[at + "crate::".len()..];
        if let Some(block) = rest.strip_prefix('{') {
            // `use crate::{a::b, c::{d, e}}`: the names that stand at the first level.
            let mut depth = 0;
            let mut name = String::new();
            for letter in block.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => named.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(letter),
                    _ => {}
                }
            }
            named.push(name);
        } else {
            named
                .push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
        }
    }
    named.iter().filter_map(|name| name.trim().split("::").next()).map(str::to_owned).collect()
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources("sync-core/src") {
        let name = relative(&path);
        let module = name["sync-core/src/".len()..].split(['/', '.']).next().expect("a module").to_owned();
        let Some(step) = step_of(&module) else { continue };
        for import in imports(&text) {
            if step_of(&import).is_some_and(|imported| imported > step) {
                wrong.push(format!("{name} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_of_the_core_is_a_step() {
    let lib = fs::read_to_string(root().join("sync-core/src/lib.rs")).expect("lib.rs");
    for line in lib.lines().filter(|line| line.starts_with("mod ") || line.starts_with("pub mod ")) {
        let module = line.trim_start_matches("pub ").trim_start_matches("mod ").trim_end_matches(';');
        if module.ends_with('{') {
            continue;
        }
        assert!(step_of(module).is_some(), "module {module} is in no step");
    }
}

#[test]
fn the_core_names_no_socket_and_the_transport_no_table() {
    for (path, text) in sources("sync-core/src") {
        for word in ["std::net", "tokio::net", "axum", "reqwest", "hyper", "TcpListener"] {
            assert!(!text.contains(word), "{} names {word}", relative(&path));
        }
    }
    for (path, text) in sources("sync-transport/src") {
        for word in ["sea_orm", "sqlx", "sync_log", "sync_objects", "SELECT "] {
            assert!(!text.contains(word), "{} names {word}", relative(&path));
        }
    }
}

#[test]
fn files_have_a_heading_and_one_job() {
    let mut wrong = Vec::new();
    for folder in
        ["sync-core/src", "sync-derive/src", "sync-transport/src", "example-app/src", "migration/src"]
    {
        for (path, text) in sources(folder) {
            let name = relative(&path);
            if name.contains("tests") {
                continue;
            }
            if !text.starts_with("//!") {
                wrong.push(format!("{name} does not say what it is for"));
            }
            let lines = text.lines().count();
            if lines > LONGEST_FILE {
                wrong.push(format!("{name} has {lines} lines"));
            }
            for word in ["todo!(", "unimplemented!(", "dbg!("] {
                if text.contains(word) {
                    wrong.push(format!("{name} has {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

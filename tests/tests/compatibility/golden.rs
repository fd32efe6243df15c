//! The files: what is read of them, and when they are written.

use std::{fs, path::PathBuf};

/// Where the file with this name is.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/compatibility/golden").join(name)
}

/// True if the files are to be written anew.
pub(crate) fn writes() -> bool {
    std::env::var("GOLDEN").is_ok_and(|word| word == "write")
}

/// The folders of earlier versions, as names that [`find`] and [`read`] take before the name of a file.
pub(crate) fn earlier() -> Vec<String> {
    let entries = fs::read_dir(path("earlier")).expect("the earlier versions");
    let mut versions: Vec<String> = entries
        .map(|entry| format!("earlier/{}", entry.expect("a folder").file_name().to_string_lossy()))
        .collect();
    versions.sort();
    versions
}

/// What the file with this name holds, if there is one: an earlier version had not all of them.
pub(crate) fn find(name: &str) -> Option<Vec<u8>> {
    path(name).exists().then(|| read(name))
}

/// What the file with this name holds.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file, with the folders it is in.
pub(crate) fn write(name: &str, bytes: &[u8]) {
    let path = path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, bytes).expect("a file");
}

/// Fails unless the file with this name holds `today`: what this version writes for the same thing.
pub(crate) fn same(name: &str, today: &[u8]) {
    if writes() {
        write(name, today);
    }
    let golden = read(name);
    assert!(
        golden == today,
        "{name} is not what is written today. If the form may change, keep the old files in a folder of golden/earlier and \
         run with GOLDEN=write.\nthen: {}\nnow:  {}",
        shown(&golden),
        shown(today)
    );
}

fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

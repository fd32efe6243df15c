//! The harness's tables as data: what the oracle knows of constraints.

/// What becomes of a child whose parent is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphan {
    Waits,
    Nulled,
}

/// A foreign key of one column to a model with a key of one column.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) column: &'static str,
    pub(crate) parent: &'static str,
    pub(crate) orphan: Orphan,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) model: &'static str,
    pub(crate) table: &'static str,
    pub(crate) keys: &'static [&'static str],
    /// The other columns that travel; true where `NULL` is allowed.
    pub(crate) columns: &'static [(&'static str, bool)],
    pub(crate) uniques: &'static [&'static [&'static str]],
    pub(crate) foreign: &'static [Foreign],
}

pub(crate) const TABLES: [Table; 14] = [
    Table {
        model: "item",
        table: "items",
        keys: &["id"],
        columns: &[("title", false), ("qty", false), ("note", true)],
        uniques: &[],
        foreign: &[],
    },
    Table {
        model: "label",
        table: "labels",
        keys: &["id"],
        columns: &[("name", false), ("color", true)],
        uniques: &[&["name"]],
        foreign: &[],
    },
    Table {
        model: "branch",
        table: "branches",
        keys: &["id"],
        columns: &[("name", false)],
        uniques: &[],
        foreign: &[],
    },
    Table {
        model: "leaf",
        table: "leaves",
        keys: &["id"],
        columns: &[("branch_id", false), ("name", false)],
        uniques: &[],
        foreign: &[Foreign { column: "branch_id", parent: "branch", orphan: Orphan::Waits }],
    },
    Table {
        model: "memo",
        table: "memos",
        keys: &["id"],
        columns: &[("words", false)],
        uniques: &[],
        foreign: &[],
    },
    Table {
        model: "folder",
        table: "folders",
        keys: &["id"],
        columns: &[("parent_id", true), ("name", false)],
        uniques: &[],
        foreign: &[Foreign { column: "parent_id", parent: "folder", orphan: Orphan::Nulled }],
    },
    Table {
        model: "tagging",
        table: "taggings",
        keys: &["folder_id", "label_id"],
        columns: &[("why", true)],
        uniques: &[],
        foreign: &[
            Foreign { column: "folder_id", parent: "folder", orphan: Orphan::Waits },
            Foreign { column: "label_id", parent: "label", orphan: Orphan::Waits },
        ],
    },
    Table {
        model: "shelf",
        table: "shelves",
        keys: &["id"],
        columns: &[("room", false), ("slot", true), ("code", true), ("note", false)],
        uniques: &[&["room", "slot"], &["code"]],
        foreign: &[],
    },
    Table {
        model: "gauge",
        table: "gauges",
        keys: &["id"],
        columns: &[("count", false), ("peak", true), ("low", false), ("x", false), ("y", false)],
        uniques: &[],
        foreign: &[],
    },
    Table {
        model: "basket",
        table: "baskets",
        keys: &["id"],
        columns: &[("tags", false)],
        uniques: &[],
        foreign: &[],
    },
    Table {
        model: "card",
        table: "cards",
        keys: &["id"],
        columns: &[("front", false), ("back", false), ("hint", true)],
        uniques: &[],
        foreign: &[],
    },
    // Made by changes of the schema; `versions` says what a program sees of it.
    Table {
        model: "grown",
        table: "grown",
        keys: &["id"],
        columns: &[("name", false), ("note", true), ("stars", true)],
        uniques: &[],
        foreign: &[],
    },
    // The engine's own: a device writes its record with its first round.
    Table {
        model: "sync_devices",
        table: "sync_devices",
        keys: &["id"],
        columns: &[
            ("name", true),
            ("first_seen", true),
            ("last_seen", true),
            ("replaces", true),
            ("left_at", true),
            ("have", true),
            ("revoked_at", true),
        ],
        uniques: &[],
        foreign: &[],
    },
    Table {
        model: "sync_schema",
        table: "sync_schema",
        keys: &["id"],
        columns: &[("number", true), ("author", true), ("change", true)],
        uniques: &[],
        foreign: &[],
    },
];

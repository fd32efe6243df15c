//! Random writes of an application: what is written, and by which way.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use uuid::Uuid;

use super::{random::Rng, versions::View};

/// How many keys each model has: few, so that they meet.
const KEYS: usize = 5;

/// By which way statements reach the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One by one.
    Plain,
    /// In a transaction of the application's connection.
    Transaction,
    /// In a transaction of the engine's.
    Engine,
}

/// A write of the application.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) way: Way,
    pub(crate) statements: Vec<String>,
}

/// Makes a write that suits what the database holds now.
pub(crate) async fn operation(rng: &mut Rng, db: &DatabaseConnection, view: View) -> Operation {
    if rng.chance(12) {
        let count = 2 + rng.below(4);
        let mut statements = Vec::new();
        for _ in 0..count {
            statements.extend(write(rng, db, view).await);
        }
        let way = if rng.chance(60) { Way::Engine } else { Way::Transaction };
        return Operation { way, statements };
    }
    let statements = write(rng, db, view).await;
    let way = match rng.below(4) {
        0 if statements.len() == 1 => Way::Engine,
        0 | 1 => Way::Transaction,
        _ if statements.len() == 1 => Way::Plain,
        2 => Way::Engine,
        _ => Way::Transaction,
    };
    Operation { way, statements }
}

async fn write(rng: &mut Rng, db: &DatabaseConnection, view: View) -> Vec<String> {
    match rng.below(22) {
        0 | 1 => item(rng),
        2..=4 => label(rng, db).await,
        5..=7 => branch(rng),
        8 => memo(rng),
        9..=11 => folder(rng),
        12 | 13 => tagging(rng),
        14 => gauge(rng),
        15 => basket(rng),
        16 => card(rng),
        19..=21 if view != View::None => grown(rng, view),
        _ => shelf(rng, db).await,
    }
}

/// The `n`th key of a model, as SQLite's literal.
fn key(model: u128, n: usize) -> String {
    format!("x'{}'", Uuid::from_u128((model << 96) | (n as u128 + 1)).simple())
}

fn any(rng: &mut Rng, model: u128) -> String {
    key(model, rng.below(KEYS))
}

fn word(rng: &mut Rng) -> String {
    format!("'w{}'", rng.below(1_000))
}

fn maybe(rng: &mut Rng, value: String) -> String {
    if rng.chance(25) { "NULL".to_owned() } else { value }
}

fn item(rng: &mut Rng) -> Vec<String> {
    let id = any(rng, 1);
    let (title, qty) = (word(rng), rng.below(10));
    let note = word(rng);
    let note = maybe(rng, note);
    vec![match rng.below(9) {
        0..=2 => format!("INSERT INTO items (id, title, qty, note) VALUES ({id}, {title}, {qty}, {note})"),
        3 => format!("UPDATE items SET title = {title} WHERE id = {id}"),
        4 => format!("UPDATE items SET qty = {qty}, note = {note} WHERE id = {id}"),
        5 => format!("UPDATE items SET qty = qty + 1 WHERE qty < {qty}"),
        6 => format!("UPDATE items SET id = {} WHERE id = {id}", any(rng, 1)),
        7 => format!("DELETE FROM items WHERE qty = {qty}"),
        _ => format!("DELETE FROM items WHERE id = {id}"),
    }]
}

/// A write of a program that sees the table as `view` says.
fn grown(rng: &mut Rng, view: View) -> Vec<String> {
    let (id, name, stars) = (any(rng, 12), word(rng), rng.below(7));
    let note = word(rng);
    let note = maybe(rng, note);
    let knows = view == View::After;
    vec![match rng.below(8) {
        0..=2 if knows => {
            format!("INSERT INTO grown (id, name, note, stars) VALUES ({id}, {name}, {note}, {stars})")
        }
        0..=2 => format!("INSERT INTO grown (id, name) VALUES ({id}, {name})"),
        3 | 4 if knows => format!("UPDATE grown SET stars = {stars} WHERE id = {id}"),
        5 if knows => format!("UPDATE grown SET note = {note}, name = {name} WHERE id = {id}"),
        6 => format!("DELETE FROM grown WHERE id = {id}"),
        _ => format!("UPDATE grown SET name = {name} WHERE id = {id}"),
    }]
}

fn name(rng: &mut Rng) -> String {
    format!("'n{}'", rng.below(6))
}

async fn label(rng: &mut Rng, db: &DatabaseConnection) -> Vec<String> {
    let id = any(rng, 2);
    let (name, color) = (name(rng), word(rng));
    let insert = |verb: &str, id: &str, name: &str| {
        format!("{verb} INTO labels (id, name, color) VALUES ({id}, {name}, {color})")
    };
    let rename = |id: &str, name: &str| format!("UPDATE labels SET name = {name} WHERE id = {id}");
    let rows = held(db, "labels", "name").await;
    match rng.below(10) {
        0..=2 => vec![insert("INSERT", &id, &name)],
        3 => vec![rename(&id, &name)],
        4 => vec![format!("UPDATE labels SET color = {color} WHERE id = {id}")],
        5 => vec![format!("DELETE FROM labels WHERE id = {id}")],
        6 => vec![insert("INSERT OR REPLACE", &id, &name)],
        7 if rows.len() > 1 => {
            // Everybody gets the next one's name.
            let count = if rows.len() > 2 && rng.chance(50) { 3 } else { 2 };
            let begin = rng.below(rows.len());
            let turn: Vec<&(String, String)> = rows.iter().cycle().skip(begin).take(count).collect();
            let aside = turn.iter().enumerate().map(|(at, (id, _))| rename(id, &format!("'aside{at}'")));
            let placed = (0..count).map(|at| rename(&turn[at].0, &turn[(at + 1) % count].1));
            aside.chain(placed).collect()
        }
        8 if !rows.is_empty() => {
            // A name moves to a new row, and its row gets another or goes.
            let (old, held) = rng.pick(&rows).clone();
            let first = if rng.chance(50) {
                rename(&old, &name)
            } else {
                format!("DELETE FROM labels WHERE id = {old}")
            };
            vec![first, insert("INSERT", &id, &held)]
        }
        8 => vec![rename(&id, &name)],
        _ => vec![format!("UPDATE labels SET id = {id} WHERE name = {name}")],
    }
}

/// The keys of a table's rows with what a column holds, as literals.
async fn held(db: &DatabaseConnection, table: &str, column: &str) -> Vec<(String, String)> {
    let statement = format!(
        "SELECT 'x''' || lower(hex(id)) || '''', quote({column}) FROM {table} WHERE {column} IS NOT NULL ORDER BY id"
    );
    let statement = Statement::from_string(db.get_database_backend(), statement);
    let rows = db.query_all_raw(statement).await.expect("rows");
    rows.iter()
        .map(|row| (row.try_get_by_index(0).expect("a key"), row.try_get_by_index(1).expect("a value")))
        .collect()
}

fn branch(rng: &mut Rng) -> Vec<String> {
    let (branch, other, leaf) = (any(rng, 3), any(rng, 3), any(rng, 4));
    let word = word(rng);
    let plant = format!("INSERT INTO branches (id, name) VALUES ({branch}, {word})");
    let hang = format!("INSERT INTO leaves (id, branch_id, name) VALUES ({leaf}, {branch}, {word})");
    let fell = format!("DELETE FROM branches WHERE id = {branch}");
    match rng.below(12) {
        0 | 1 => vec![plant],
        2..=4 => vec![hang],
        5 => vec![plant, hang],
        6 => vec![format!("UPDATE leaves SET branch_id = {branch} WHERE id = {leaf}")],
        7 => vec![format!("UPDATE leaves SET name = {word} WHERE id = {leaf}")],
        8 => vec![fell],
        9 => vec![format!("UPDATE leaves SET branch_id = {other} WHERE branch_id = {branch}"), fell],
        10 => vec![fell, plant, hang],
        _ => vec![format!("DELETE FROM leaves WHERE id = {leaf}")],
    }
}

fn memo(rng: &mut Rng) -> Vec<String> {
    let id = any(rng, 5);
    let word = word(rng);
    vec![match rng.below(6) {
        0 | 1 => format!("INSERT INTO memos (id, words) VALUES ({id}, {word})"),
        2 => format!("DELETE FROM memos WHERE id = {id}"),
        _ => format!("UPDATE memos SET words = {word} WHERE id = {id}"),
    }]
}

fn folder(rng: &mut Rng) -> Vec<String> {
    let (id, parent) = (any(rng, 6), any(rng, 6));
    let parent = maybe(rng, parent);
    let name = word(rng);
    let insert = |id: &str, parent: &str| {
        format!("INSERT INTO folders (id, parent_id, name) VALUES ({id}, {parent}, {name})")
    };
    let delete = format!("DELETE FROM folders WHERE id = {id}");
    match rng.below(10) {
        0..=2 => vec![insert(&id, &parent)],
        3 => vec![insert(&id, "NULL")],
        4 => vec![format!("UPDATE folders SET parent_id = {parent} WHERE id = {id}")],
        5 => vec![format!("UPDATE folders SET name = {name} WHERE id = {id}")],
        6 => vec![delete],
        7 => vec![format!("UPDATE folders SET parent_id = {parent} WHERE parent_id = {id}"), delete],
        8 => vec![delete, insert(&id, &parent)],
        _ => {
            let child = any(rng, 6);
            vec![insert(&id, "NULL"), insert(&child, &id)]
        }
    }
}

fn tagging(rng: &mut Rng) -> Vec<String> {
    let (folder, label) = (any(rng, 6), any(rng, 2));
    let why = word(rng);
    let why = maybe(rng, why);
    let ends = format!("folder_id = {folder} AND label_id = {label}");
    let insert = format!("INSERT INTO taggings (folder_id, label_id, why) VALUES ({folder}, {label}, {why})");
    match rng.below(8) {
        0..=3 => vec![insert],
        4 => vec![format!("UPDATE taggings SET why = {why} WHERE {ends}")],
        5 => vec![format!("UPDATE taggings SET why = {why} WHERE folder_id = {folder}")],
        6 => vec![
            format!("INSERT OR IGNORE INTO folders (id, name) VALUES ({folder}, 'f')"),
            format!("INSERT OR IGNORE INTO labels (id, name) VALUES ({label}, {})", name(rng)),
            insert,
        ],
        _ => vec![format!("DELETE FROM taggings WHERE {ends}")],
    }
}

async fn shelf(rng: &mut Rng, db: &DatabaseConnection) -> Vec<String> {
    let id = any(rng, 7);
    let (room, code) = (format!("'r{}'", rng.below(2)), format!("'c{}'", rng.below(4)));
    let slot = rng.below(3).to_string();
    let (slot, code, note) = (maybe(rng, slot), maybe(rng, code), word(rng));
    let rows = held(db, "shelves", "code").await;
    match rng.below(9) {
        0..=3 => vec![format!(
            "INSERT INTO shelves (id, room, slot, code, note) VALUES ({id}, {room}, {slot}, {code}, {note})"
        )],
        4 => vec![format!("UPDATE shelves SET room = {room}, slot = {slot} WHERE id = {id}")],
        5 => vec![format!("UPDATE shelves SET code = {code} WHERE id = {id}")],
        6 => vec![format!("UPDATE shelves SET note = {note} WHERE id = {id}")],
        7 if rows.len() > 1 => {
            let (a, b) = (rng.pick(&rows).clone(), rng.pick(&rows).clone());
            let set = |id: &str, code: &str| format!("UPDATE shelves SET code = {code} WHERE id = {id}");
            vec![set(&a.0, "NULL"), set(&b.0, &a.1), set(&a.0, &b.1)]
        }
        7 => vec![format!("UPDATE shelves SET slot = NULL WHERE room = {room}")],
        _ => vec![format!("DELETE FROM shelves WHERE id = {id}")],
    }
}

fn gauge(rng: &mut Rng) -> Vec<String> {
    let id = any(rng, 8);
    let [n, m] = [rng.below(20), rng.below(20)];
    let peak = maybe(rng, m.to_string());
    let set = |what: String| vec![format!("UPDATE gauges SET {what} WHERE id = {id}")];
    match rng.below(10) {
        0..=2 => vec![format!(
            "INSERT INTO gauges (id, count, peak, low, x, y) VALUES ({id}, {n}, {peak}, {m}, {n}, {m})"
        )],
        3 => set(format!("count = count + {n}")),
        4 => vec![format!("UPDATE gauges SET count = count - 1, peak = {peak} WHERE count > {n}")],
        5 => set(format!("count = {n}, low = {m}")),
        6 => set(format!("peak = {peak}, low = {n}")),
        7 => set(format!("x = {n}")),
        8 => set(format!("y = {n}, count = count + 1")),
        _ => vec![format!("DELETE FROM gauges WHERE id = {id}")],
    }
}

fn basket(rng: &mut Rng) -> Vec<String> {
    let id = any(rng, 9);
    let chosen: Vec<String> = (0..5).filter(|_| rng.chance(40)).map(|tag| format!("\"t{tag}\"")).collect();
    let tags = format!("'[{}]'", chosen.join(","));
    let tag = rng.below(5);
    match rng.below(8) {
        0..=2 => vec![format!("INSERT INTO baskets (id, tags) VALUES ({id}, {tags})")],
        3 | 4 => vec![format!("UPDATE baskets SET tags = {tags} WHERE id = {id}")],
        5 | 6 => vec![format!(
            "UPDATE baskets SET tags = json_insert(tags, '$[#]', 't{tag}') WHERE id = {id} AND tags NOT LIKE '%t{tag}%'"
        )],
        _ => vec![format!("DELETE FROM baskets WHERE id = {id}")],
    }
}

fn card(rng: &mut Rng) -> Vec<String> {
    let id = any(rng, 10);
    let (text, hint) = (word(rng), word(rng));
    let hint = maybe(rng, hint);
    vec![match rng.below(8) {
        0..=2 => format!("INSERT INTO cards (id, front, back, hint) VALUES ({id}, {text}, {text}, {hint})"),
        3 | 4 => format!("UPDATE cards SET front = {text} WHERE id = {id}"),
        5 => format!("UPDATE cards SET back = {text} WHERE id = {id}"),
        6 => format!("UPDATE cards SET hint = {hint} WHERE id = {id}"),
        _ => format!("DELETE FROM cards WHERE id = {id}"),
    }]
}

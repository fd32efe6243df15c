//! The view `sync_changes`: the log for people, in any program that opens the database.
//!
//! SQLite has no function for MessagePack, so the view walks the bytes of a change itself. A walk is a recursive
//! query over one blob, run for the one row that is looked at:
//!
//! ```text
//! at     where the token begins, from 1          h      its first ten bytes in hexadecimal: marker, length, number
//! body   where what follows its head begins      after  where the next token begins
//! role   key > field > key > .. > cells > cell > column > value [> version [> tag]] > cell > ..
//! ```
//!
//! A token takes two rows: the first has `h`, the second also `body` and `after`, computed from it. The value of a
//! digit `d` is `instr('123456789ABCDEF', d)`, which is 0 for the one that is not found. JSON is put together as
//! text: the JSON functions of older SQLite cut a float to 15 digits. Here it reads back as it was, but where SQLite's
//! printing is not exact: below 1e-20 and above 1e20 the last of 17 digits may be off.
//!
//! Invariant: a walk ends whatever the bytes are, because each token ends after it began. What the bytes mean is
//! said in `change::encode` and `value::codec`. An edit whose data is gone is shown as `edit`: only its data told
//! whether it was an insert.

/// The value of the hexadecimal digit at this place of `h`.
macro_rules! digit {
    ($at:literal) => {
        concat!("instr('123456789ABCDEF', substr(h, ", $at, ", 1))")
    };
}

/// The number that the digits at these places of `h` make. Shifts and `|` bind alike in SQL, from left to right.
macro_rules! number {
    ($first:literal $($next:literal)*) => {
        concat!("(", digit!($first), $(" << 4 | ", digit!($next),)* ")")
    };
}

macro_rules! number_1 {
    () => {
        number!(3 4)
    };
}

macro_rules! number_2 {
    () => {
        number!(3 4 5 6)
    };
}

macro_rules! number_4 {
    () => {
        number!(3 4 5 6 7 8 9 10)
    };
}

macro_rules! number_8 {
    () => {
        number!(3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18)
    };
}

/// A blob as the text of a UUID.
macro_rules! uuid {
    ($blob:literal) => {
        concat!(
            "(SELECT substr(u, 1, 8) || '-' || substr(u, 9, 4) || '-' || substr(u, 13, 4) || '-' || substr(u, 17, 4) \
             || '-' || substr(u, 21) FROM (SELECT lower(hex(", $blob, ")) AS u))"
        )
    };
}

/// How long the head of the token in `h` is. Of an extension, the type belongs to it.
macro_rules! head {
    () => {
        "CASE WHEN h < 'C4' OR h >= 'E0' THEN 1 ELSE CASE substr(h, 1, 2) \
         WHEN 'C4' THEN 2 WHEN 'C5' THEN 3 WHEN 'C6' THEN 5 WHEN 'C7' THEN 3 WHEN 'C8' THEN 4 WHEN 'C9' THEN 6 \
         WHEN 'D4' THEN 2 WHEN 'D5' THEN 2 WHEN 'D6' THEN 2 WHEN 'D7' THEN 2 WHEN 'D8' THEN 2 \
         WHEN 'D9' THEN 2 WHEN 'DA' THEN 3 WHEN 'DB' THEN 5 WHEN 'DC' THEN 3 ELSE 1 END END"
    };
}

/// How much follows the head of the token in `h`. Of arrays only one that is a field is passed over whole: it is
/// the context, whose stamps have 18 bytes each. There are none, and no columns, by the ten thousands.
macro_rules! length {
    () => {
        concat!(
            "CASE WHEN h < '90' OR h >= 'E0' THEN 0 \
             WHEN h < 'A0' THEN 18 * (role = 'field') * ", digit!(2),
            " WHEN h < 'C0' THEN ", number!(1 2), " & 31 \
             WHEN substr(h, 1, 2) IN ('C4', 'C7', 'D9') THEN ", number_1!(),
            " WHEN substr(h, 1, 2) IN ('C5', 'C8', 'DA') THEN ", number_2!(),
            " WHEN substr(h, 1, 2) IN ('C6', 'C9', 'DB') THEN ", number_4!(),
            " ELSE CASE substr(h, 1, 2) WHEN 'DC' THEN 18 * (role = 'field') * ", number_2!(),
            " WHEN 'CC' THEN 1 WHEN 'D0' THEN 1 WHEN 'D4' THEN 1 \
              WHEN 'CD' THEN 2 WHEN 'D1' THEN 2 WHEN 'D5' THEN 2 \
              WHEN 'CA' THEN 4 WHEN 'CE' THEN 4 WHEN 'D2' THEN 4 WHEN 'D6' THEN 4 \
              WHEN 'CB' THEN 8 WHEN 'CF' THEN 8 WHEN 'D3' THEN 8 WHEN 'D7' THEN 8 WHEN 'D8' THEN 16 \
              ELSE 0 END END"
        )
    };
}

/// `walk`, over the bytes of a change. It stops before the first key for which `$key` is not true.
macro_rules! walk_change {
    ($key:literal) => {
        concat!(
            "walk(role, parts, name, at, h, body, after) AS ( \
               SELECT 'key', 0, NULL, 2, hex(substr(log.data, 2, 10)), NULL, NULL \
               UNION ALL SELECT role, parts, name, at, h, at + ", head!(), ", at + ", head!(), " + ", length!(),
            "  FROM walk WHERE after IS NULL AND h <> '' \
                 AND CASE role WHEN 'key' THEN ", $key, " WHEN 'cell' THEN h BETWEEN '92' AND '95' ELSE 1 END \
               UNION ALL SELECT \
                 CASE role WHEN 'key' THEN CASE substr(h, 1, 2) WHEN '0B' THEN 'cells' ELSE 'field' END \
                   WHEN 'field' THEN 'key' WHEN 'cell' THEN 'column' WHEN 'column' THEN 'value' \
                   WHEN 'value' THEN CASE WHEN parts > 2 THEN 'version' ELSE 'cell' END \
                   WHEN 'version' THEN CASE WHEN parts > 3 THEN 'tag' ELSE 'cell' END ELSE 'cell' END, \
                 CASE role WHEN 'cell' THEN ", digit!(2), " ELSE parts END, \
                 CASE role WHEN 'column' THEN CAST(substr(log.data, body, after - body) AS TEXT) ELSE name END, \
                 after, hex(substr(log.data, after, 10)), NULL, NULL \
               FROM walk WHERE after IS NOT NULL)"
        )
    };
}

/// `walk`, over the parts of a key.
macro_rules! walk_record {
    () => {
        concat!(
            "walk(role, name, at, h, body, after) AS ( \
               SELECT 'value', NULL, 1, hex(substr(log.record, 1, 10)), NULL, NULL \
               UNION ALL SELECT role, name, at, h, at + ",
            head!(),
            ", at + ",
            head!(),
            " + ",
            length!(),
            "  FROM walk WHERE after IS NULL AND h <> '' \
               UNION ALL SELECT role, name, after, hex(substr(log.record, after, 10)), NULL, NULL \
               FROM walk WHERE after IS NOT NULL)"
        )
    };
}

/// The float in `h`: its mantissa, scaled by powers of two, which is exact. The text is the shorter of two that
/// reads as the same float; the sign stands before it, for zero has one too.
macro_rules! float {
    () => {
        concat!(
            "(WITH RECURSIVE float(bits) AS (SELECT ", number_8!(), "), \
             part(sign, power, fraction) AS ( \
               SELECT CASE WHEN bits < 0 THEN '-' ELSE '' END, bits >> 52 & 2047, bits & 4503599627370495 FROM float), \
             scaled(sign, x, power) AS ( \
               SELECT sign, 1.0 * (fraction + (power > 0) * 4503599627370496), \
                 CASE WHEN power = 0 AND fraction = 0 THEN 0 ELSE max(power, 1) - 1075 END \
               FROM part WHERE power < 2047 \
               UNION ALL SELECT sign, 1.0 * x / (1 << min(-power, 32)), power + min(-power, 32) \
               FROM scaled WHERE power < 0 \
               UNION ALL SELECT sign, 1.0 * x * (1 << min(power, 32)), power - min(power, 32) \
               FROM scaled WHERE power > 0) \
             SELECT sign || CASE WHEN CAST(printf('%!.15g', x) AS REAL) = x THEN printf('%!.15g', x) \
               ELSE printf('%!.17g', x) END FROM scaled WHERE power = 0 \
             UNION ALL SELECT CASE WHEN fraction = 0 THEN sign || 'inf' ELSE 'NaN' END FROM part WHERE power = 2047)"
        )
    };
}

/// `shown`: the values that `walk` met, as text without quotes. Their form is one of a few words, or the type of an
/// extension.
macro_rules! shown {
    ($blob:literal) => {
        concat!(
            "met(name, h, form, bytes) AS ( \
               SELECT name, h, CASE WHEN h < '80' OR h >= 'E0' THEN 'small' WHEN h < 'C0' THEN 'text' \
                 WHEN h < 'C4' THEN 'word' WHEN h < 'C7' THEN 'bytes' WHEN h < 'CA' THEN substr(h, 2 * (body - at) - 1, 2) \
                 WHEN h < 'CC' THEN 'float' WHEN h < 'D4' THEN 'number' WHEN h < 'D9' THEN substr(h, 3, 2) ELSE 'text' END, \
                 substr(", $blob, ", body, after - body) \
               FROM walk WHERE role = 'value' AND after IS NOT NULL), \
             shown(name, form, value) AS ( \
               SELECT name, form, CASE form \
                 WHEN 'small' THEN ", number!(1 2), " - 256 * (h >= 'E0') \
                 WHEN 'word' THEN CASE substr(h, 1, 2) WHEN 'C2' THEN 'false' WHEN 'C3' THEN 'true' ELSE 'null' END \
                 WHEN 'number' THEN CASE \
                   WHEN substr(h, 1, 2) IN ('CC', 'D0') THEN ", number_1!(), " - 256 * (h >= 'D0') \
                   WHEN substr(h, 1, 2) IN ('CD', 'D1') THEN ", number_2!(), " - 65536 * (h >= 'D0') \
                   WHEN substr(h, 1, 2) IN ('CE', 'D2') THEN ", number_4!(), " - 4294967296 * (h >= 'D0') \
                   ELSE ", number_8!(), " END \
                 WHEN 'bytes' THEN lower(hex(bytes)) \
                 WHEN '01' THEN printf('%u', ", number!(5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20), ") \
                 WHEN '03' THEN ", uuid!("bytes"),
            "    WHEN 'float' THEN ", float!(), " ELSE CAST(bytes AS TEXT) END FROM met)"
        )
    };
}

/// A value of `shown` as JSON.
macro_rules! as_json {
    () => {
        "CASE WHEN form IN ('small', 'word', 'number', 'float', '01', '02') AND value NOT IN ('NaN', 'inf', '-inf') \
         THEN value ELSE json_quote(value) END"
    };
}

/// The statement that makes the view.
pub(super) const CREATE_VIEW: &str = concat!(
    "CREATE VIEW IF NOT EXISTS sync_changes AS SELECT seq, \
     (SELECT strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03dZ', ms % 1000) \
      FROM (SELECT ",
    number!(1 2 3 4 5 6 7 8 9 10 11 12),
    " AS ms FROM (SELECT hex(substr(log.change_id, 1, 6)) AS h))) \
     AS timestamp, \
     (SELECT ",
    uuid!("n.name"),
    " FROM sync_names AS n WHERE n.id = log.library) AS library_id, \
     (SELECT ",
    uuid!("n.name"),
    " FROM sync_names AS n WHERE n.id = log.device) AS device_id, \
     (SELECT CAST(n.name AS TEXT) FROM sync_names AS n WHERE n.id = log.model) AS model_type, \
     (WITH RECURSIVE ",
    walk_record!(),
    ", ",
    shown!("log.record"),
    " SELECT CASE WHEN count(*) = 1 THEN max(value) ELSE '[' || group_concat(",
    as_json!(),
    ", ',') || ']' END FROM shown) \
     AS record_id, \
     CASE kind WHEN 0 THEN CASE WHEN log.data IS NULL THEN 'edit' \
         WHEN (WITH RECURSIVE ",
    walk_change!("h < '0A'"),
    " SELECT count(*) FROM walk WHERE role = 'key' AND h LIKE '09%') \
         THEN 'update' ELSE 'insert' END \
       WHEN 1 THEN 'delete' WHEN 2 THEN 'merge' WHEN 3 THEN 'adopt' WHEN 4 THEN 'repair' WHEN 5 THEN 'compensate' \
       WHEN -1 THEN 'taken back' \
       ELSE printf('kind %d', kind) END AS change_type, \
     CASE WHEN log.data IS NOT NULL THEN '{' || coalesce((WITH RECURSIVE ",
    walk_change!("h < '0C'"),
    ", ",
    shown!("log.data"),
    " SELECT group_concat(json_quote(name) || ':' || ",
    as_json!(),
    ", ',') FROM shown), '') || '}' END \
     AS data \
     FROM sync_log AS log"
);

#[cfg(test)]
mod tests;

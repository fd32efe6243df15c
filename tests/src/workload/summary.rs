//! The bars, and whether they hold.

use std::fmt::Write as _;

use super::{meter::Figure, seaorm, seasync};

/// The figures side by side, medians where a peer ran several times, and each bar with what was measured. The second
/// part is true if all of them hold.
pub fn summary(figures: &[Figure]) -> (String, bool) {
    let find = |peer: &str, metric: &str| {
        let mut values: Vec<f64> = figures
            .iter()
            .filter(|figure| figure.peer == peer && figure.metric == metric)
            .map(|figure| figure.value)
            .collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let synced = |metric: &str| find(seasync::PEER, metric).unwrap_or(f64::NAN);
    let mut text = String::from("\ncost in processor time, as a multiple of plain SeaORM\n");
    for metric in [
        "insert_batch",
        "insert_auto",
        "update_1col_keyed",
        "update_1col_bulk_stmt",
        "delete_keyed",
        "point_read",
    ] {
        let name = format!("{metric}@cpu");
        let plain = find(seaorm::PEER, &name).unwrap_or(f64::NAN);
        let _ = writeln!(text, "  {metric:<24}{:>8.2}", plain / synced(&name));
    }
    let _ = writeln!(
        text,
        "  {:<24}{:>8.2}",
        "size_after_insert",
        synced("size_after_insert") / find(seaorm::PEER, "size_after_insert").unwrap_or(f64::NAN)
    );
    let ratio = find(seaorm::PEER, "insert_batch@cpu").unwrap_or(f64::NAN) / synced("insert_batch@cpu");
    let bars = [
        ("insert_batch, CPU x plain SeaORM", ratio, Bar::Most(4.0)),
        ("writer median, x plain SeaORM", synced("writer_p50_ratio"), Bar::Most(1.25)),
        ("writer p99, x plain SeaORM", synced("writer_p99_ratio"), Bar::Most(3.0)),
        ("apply_empty, rows per CPU-second", synced("apply_empty@cpu"), Bar::Least(40_000.0)),
        ("extract_all, changes per CPU-second", synced("extract_all@cpu"), Bar::Least(200_000.0)),
    ];
    text.push_str("\nbars\n");
    let mut all = true;
    for (what, value, bar) in bars {
        let holds = bar.holds(value);
        all &= holds;
        let verdict = if holds { "holds" } else { "MISSED" };
        let _ = writeln!(text, "  {what:<38}{value:>12.2}  {bar:<18} {verdict}");
    }
    for figure in figures.iter().filter(|figure| figure.unit == "bool" && figure.value != 1.0) {
        all = false;
        let _ = writeln!(text, "  {} {} is false", figure.peer, figure.metric);
    }
    (text, all)
}

enum Bar {
    Most(f64),
    Least(f64),
}

impl Bar {
    fn holds(&self, value: f64) -> bool {
        match self {
            Self::Most(most) => value <= *most,
            Self::Least(least) => value >= *least,
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Most(most) => format!("at most {most}"),
            Self::Least(least) => format!("at least {least}"),
        };
        f.pad(&text)
    }
}

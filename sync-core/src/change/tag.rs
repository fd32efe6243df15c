//! The rule by which a cell merges, as the cell itself carries it.

/// The rule by which a cell merges, carried by the cell itself: replicas without the model join it the same way.
///
/// `rule` rises when a model's rule for the column changes; the higher (rule, kind) wins outright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// How often the model's rule for the column was changed.
    pub rule: u8,
    /// Which [`Strategy`]. Numbers that this version has no strategy for are kept whole.
    pub kind: u8,
}

impl Tag {
    /// Last writer wins, first rule.
    pub const LWW: Self = Self { rule: 0, kind: Strategy::Lww as u8 };

    /// The tag of this strategy under the rule with this number.
    pub const fn new(strategy: Strategy, rule: u8) -> Self {
        Self { rule, kind: strategy as u8 }
    }

    /// The strategy, if this version knows it.
    pub const fn strategy(self) -> Option<Strategy> {
        Some(match self.kind {
            0 => Strategy::Lww,
            1 => Strategy::Max,
            2 => Strategy::Min,
            3 => Strategy::Counter,
            5 => Strategy::Set,
            _ => return None,
        })
    }

    /// True if the last writer wins, whatever the rule's number.
    pub const fn is_lww(self) -> bool {
        self.kind == Strategy::Lww as u8
    }
}

/// How the values that several devices gave one column become one. The numbers travel: none is ever given to another
/// strategy. 4 is kept for siblings, 6 for text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Strategy {
    /// The value that was written last.
    #[default]
    Lww = 0,
    /// The largest value. `NULL` is smaller than all.
    Max = 1,
    /// The smallest value. `NULL` is larger than all.
    Min = 2,
    /// The sum of what each device added and took away. For integer columns.
    Counter = 3,
    /// All that a device put in and none took out that knew of it. For columns of JSON that hold an array.
    Set = 5,
}

impl Strategy {
    /// The strategy's name, as `#[sync(strategy = "..")]` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lww => "lww",
            Self::Max => "max",
            Self::Min => "min",
            Self::Counter => "counter",
            Self::Set => "set",
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Three words for the machines: `invariant!`, a broken one is a bug and crashes at once; `mutant!`, a planted bug; `reached!`, a
//! rule that shows.

/// Asserts a relation that only a bug can break. In every build; the simulator can silence it to see whether a
/// planted bug is also visible from the outside.
macro_rules! invariant {
    ($condition:expr, $($message:tt)+) => {
        #[cfg(feature = "mutants")]
        let checked = $crate::mutants::asserting();
        #[cfg(not(feature = "mutants"))]
        let checked = true;
        if checked {
            assert!($condition, $($message)+);
        }
    };
}

/// Whether a planted bug is switched on; constantly false without the `mutants` feature. For every crate: it is this one's feature
/// that counts, so that none has bugs without the others.
#[cfg(feature = "mutants")]
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is($crate::mutants::Mutant::$name)
    };
}

/// As without planted bugs.
#[cfg(not(feature = "mutants"))]
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {{
        let on = false;
        on
    }};
}

/// Counts a mark, always or if something holds; nothing without the `mutants` feature.
macro_rules! reached {
    ($name:ident) => {
        #[cfg(feature = "mutants")]
        $crate::marks::reach($crate::marks::Mark::$name);
    };
    ($name:ident if $condition:expr) => {
        #[cfg(feature = "mutants")]
        if $condition {
            $crate::marks::reach($crate::marks::Mark::$name);
        }
    };
}

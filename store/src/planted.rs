//! A word for planted bugs (`catena_core::mutants`), which the simulator must find.

/// Whether a planted bug is switched on; constantly false without the `mutants` feature.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let on = catena_core::mutants::is(catena_core::mutants::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let on = false;
        on
    }};
}

//! One suite for every implementation of `Store`: each case and the random twin run over all of them.
#![expect(clippy::unwrap_used, reason = "tests")]

mod build;
mod cases;
mod history;
mod implementation;
mod random;
mod records;
mod shapes;
mod snapshots;
mod spills;
mod twin;
mod writer;

/// All cases.
mod list {
    pub(crate) use crate::cases::*;
    pub(crate) use crate::snapshots::*;
    pub(crate) use crate::spills::*;
}

/// Runs each case of the list over each implementation.
macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $case() { crate::list::$case(&crate::implementation::Memory::default()); })*
        }
        mod fjall {
            $(#[test] fn $case() { crate::list::$case(&crate::implementation::Fjall::new()); })*
        }
    };
}

conformance!(
    an_empty_store_has_no_slots_and_no_ticket,
    what_is_synced_survives_a_crash,
    what_is_not_synced_is_lost_whole_or_kept_whole,
    what_recovery_reported_survives_a_crash_right_after_it,
    a_batch_is_visible_with_its_sync_and_not_before,
    a_sync_covers_all_slots_and_names_the_last_ticket,
    a_chain_replaces_the_one_before,
    truncate_removes_every_entry_after_the_last_to_stay,
    an_appended_entry_replaces_the_one_at_its_seq,
    apply_moves_entries_from_the_log_to_the_objects,
    entries_can_be_applied_that_were_never_logged,
    an_overwritten_object_keeps_its_creation_time_as_the_entry_says,
    values_of_every_size_are_read_back_from_log_and_objects,
    a_value_cut_from_the_log_leaves_the_object_alone,
    many_writes_of_one_key_in_one_group_leave_the_last,
    large_objects_deleted_and_put_again_in_one_group_leave_nothing_over,
    slots_do_not_see_each_other,
    readers_look_while_the_writer_writes,
    a_gap_is_refused_loudly,
    applying_out_of_order_is_refused_loudly,
    sessions_come_and_go_with_the_entries_that_change_them,
    every_kind_of_entry_and_chain_is_read_back,
    an_installed_snapshot_replaces_everything_but_the_chain,
    what_is_staged_survives_a_restart_and_is_gone_on_with,
    a_part_of_another_snapshot_replaces_what_was_staged,
    an_empty_snapshot_empties_the_slot,
    a_cleared_slot_has_its_chain_and_nothing_else,
    a_slot_without_a_chain_that_is_cleared_has_never_been,
    staged_and_installed_batches_are_lost_or_kept_as_a_whole_and_in_order,
    a_pin_shows_one_moment_whatever_comes_after,
    a_pin_has_what_was_durable_and_nothing_of_what_was_not,
    a_part_has_about_the_bytes_asked_for,
    the_last_parts_of_a_pin_can_be_read_again,
    pins_are_taken_while_the_writer_writes,
    slots_are_cleared_and_installed_each_for_itself,
    what_is_swept_is_nobodys_business,
    installing_what_is_not_staged_is_refused_loudly,
    staging_out_of_order_is_refused_loudly,
    staging_what_came_after_the_pin_is_refused_loudly,
    what_is_spilled_is_read_back_whatever_becomes_of_the_objects,
    a_part_of_a_spill_has_about_the_bytes_asked_for,
    what_is_spilled_shows_with_its_sync_and_not_before,
    a_spill_that_has_ended_leaves_nothing,
    a_restart_ends_a_spill,
    a_spill_behind_another_begins_anew,
    slots_spill_each_for_itself,
    spills_are_read_while_they_come_and_go,
    a_gap_in_what_is_spilled_is_refused_loudly,
    spilling_an_entry_of_another_history_is_refused_loudly,
);

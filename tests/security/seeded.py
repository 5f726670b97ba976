"""Which attack must notice which fault."""

from __future__ import annotations

from tests.acceptance import test_answers
from tests.security import (
    faults,
    test_at_work,
    test_bytes,
    test_clock,
    test_dead,
    test_doctor,
    test_entries,
    test_further_account,
    test_fuzz,
    test_hints,
    test_local_server,
    test_masses,
    test_operator_mode,
    test_reply_subjects,
    test_room,
    test_rows,
    test_secrets,
    test_send,
    test_server_headers,
    test_terminal,
    test_ticket_room,
    test_trail,
    test_trail_account,
    test_unread,
    test_ways_in,
)
from tests.security.faults import Fault

_REPLIES = test_reply_subjects
_IN = test_ways_in
_TRAIL = test_trail_account
FAULTS = [
    Fault(faults.no_wall, _REPLIES.test_a_person_deletes_all_logs),
    Fault(faults.no_wall, _REPLIES.test_an_observer_deletes_all_events),
    Fault(faults.no_wall, _REPLIES.test_an_observer_has_the_words_of_a_customer_answer_as_the_boss),
    Fault(faults.no_wall, _REPLIES.test_a_person_fills_the_subject_of_another),
    Fault(faults.no_wall, _REPLIES.test_a_person_plants_an_entry_in_a_log),
    Fault(faults.no_wall, _REPLIES.test_a_person_plants_a_row_in_the_index),
    Fault(faults.no_wall, _REPLIES.test_a_sender_tells_workers_that_a_run_is_cancelled),
    Fault(faults.no_wall, test_trail.test_a_command_in_the_name_of_the_boss_by_a_reply_subject),
    Fault(faults.no_wall, test_doctor.test_the_doctor_warns_where_everybody_shares_an_account),
    Fault(
        faults.the_doctor_sees_no_accounts,
        test_doctor.test_the_doctor_warns_where_everybody_shares_an_account,
        kind="one account",
    ),
    *(
        Fault(fault, _IN.test_nobody_listens_or_speaks_where_they_may_not, {"login": login})
        for fault, login in (
            (faults.people_use_the_api, "ada"),
            (faults.people_hear_everything, "ada"),
            (faults.people_answer_as_others, "ada"),
            (faults.senders_write_logs, "helpdesk"),
            (faults.observers_act, "observer"),
        )
    ),
    Fault(
        faults.tokens_allow_everything,
        _IN.test_nobody_listens_or_speaks_where_they_may_not,
        {"login": "ada"},
        "jwt",
    ),
    Fault(faults.people_read_state, test_at_work.test_a_person_reads_no_state_of_runs),
    Fault(
        faults.operators_command_as_anybody,
        test_trail.test_nobody_commands_without_the_right_or_in_the_name_of_another,
    ),
    Fault(
        faults.the_trail_is_a_stream_like_others, test_trail.test_nobody_changes_or_removes_an_entry
    ),
    Fault(faults.the_trail_is_with_the_streams, _TRAIL.test_a_worker_commands_nobody),
    *(
        Fault(fault, _TRAIL.test_the_trail_is_removed_by_a_reply_subject, {"login": "worker"})
        for fault in (faults.the_trail_is_with_the_streams, faults.the_trail_can_be_deleted)
    ),
    Fault(
        faults.the_trail_is_with_the_streams,
        _TRAIL.test_the_trail_is_changed_by_what_a_worker_has_stored,
    ),
    Fault(
        faults.commands_are_taken_in_batches, test_trail.test_a_command_that_is_no_text_stops_nobody
    ),
    Fault(faults.the_trail_takes_headers, test_trail.test_nobody_changes_or_removes_an_entry),
    Fault(
        faults.exports_are_public,
        _IN.test_another_account_imports_nothing,
        {"hijack": _IN.HIJACKS[1]},
    ),
    Fault(
        faults.tokens_export_to_anybody,
        test_further_account.test_it_imports_nothing_without_a_token,
    ),
    Fault(faults.plain_subject_stays, _IN.test_named_only_refuses_the_plain_subject),
    Fault(
        faults.revoked_is_not_said, test_operator_mode.test_a_revoked_login_is_cut_off_and_stays_out
    ),
    Fault(
        faults.tokens_are_readable,
        test_operator_mode.test_only_the_owner_may_read_keys_and_credentials,
    ),
    Fault(
        faults.outcomes_are_believed,
        test_trail.test_what_is_said_to_a_client_is_believed_only_if_it_is_stored,
    ),
    Fault(
        faults.hints_are_obeyed,
        test_hints.test_a_word_that_the_log_does_not_hold_is_not_obeyed,
        {"word": "cancel"},
    ),
    Fault(
        faults.an_unreadable_entry_ends_the_fold,
        test_entries.test_rubbish_at_the_next_positions_wedges_no_run,
        {"to": "log"},
    ),
    Fault(
        faults.sealed_rubbish_is_not_skipped,
        test_fuzz.test_any_bytes_stop_nobody_whose_app_is_encrypted,
    ),
    Fault(
        faults.what_cannot_be_read_was_nothing,
        test_entries.test_rubbish_on_positions_that_are_taken_hides_no_entry,
    ),
    Fault(
        faults.what_came_last_counts, test_entries.test_a_second_entry_at_a_position_changes_nothing
    ),
    Fault(
        faults.no_utf8_raises,
        test_bytes.test_a_core_message_that_is_not_text_ends_no_connection,
        {"subject": b"layby.cancel.\xff\xfe", "reply": b""},
    ),
    Fault(
        faults.no_text_is_handled,
        test_bytes.test_answers_on_subjects_that_are_no_text_are_dead_letters_at_once,
    ),
    Fault(
        faults.deadlines_are_not_looked_at,
        test_answers.test_an_answer_stored_after_the_deadline_is_too_late_even_if_no_worker_was_running,
    ),
    Fault(
        faults.one_page_of_answers,
        test_answers.test_a_flood_from_one_responder_does_not_hide_another_answer_in_time,
    ),
    Fault(
        faults.what_was_judged_is_forgotten,
        test_masses.test_each_answer_is_read_once,
        {
            "asks": test_masses.votes,
            "role": "finance",
            "senders": test_masses.of_one,
            "body": b"yes",
            "told": {"counted": 1, "already_voted": test_masses.MANY - 1},
        },
    ),
    Fault(
        faults.first_headers_are_believed,
        test_server_headers.test_every_read_gives_what_the_server_says,
        {"name": "every header"},
    ),
    Fault(
        faults.first_headers_are_believed,
        test_server_headers.test_an_answer_is_of_who_sent_it_when_it_was_stored,
        {"name": "every header"},
    ),
    Fault(
        faults.first_headers_are_believed,
        test_server_headers.test_no_header_makes_a_late_answer_an_early_one,
    ),
    Fault(
        faults.first_headers_are_believed,
        test_server_headers.test_an_awaited_event_is_found_whatever_its_headers,
        {"name": "every header"},
    ),
    Fault(
        faults.stored_statuses_are_believed,
        test_server_headers.test_every_read_gives_what_the_server_says,
        {"name": "a status without an end"},
    ),
    Fault(faults.any_id_is_a_run, test_rows.test_an_invalid_id_purges_nothing, {"run": "*"}),
    Fault(
        faults.rows_are_believed,
        test_rows.test_a_row_that_says_a_waiting_run_has_ended_is_not_believed,
        {"pos": 1},
    ),
    Fault(
        faults.anything_is_an_event,
        test_send.test_a_program_cannot_be_made_to_send_a_command_either,
    ),
    Fault(
        faults.lost_values_are_waited_for,
        test_room.test_a_big_value_that_is_gone_ends_its_run_after_six_tries,
    ),
    Fault(
        faults.streams_have_no_limit, test_room.test_what_outsiders_fill_has_a_limit_from_the_start
    ),
    Fault(
        faults.records_hold_all_texts,
        test_ticket_room.test_long_questions_do_not_fill_their_tickets_record,
    ),
    Fault(
        faults.tickets_take_any_number,
        test_ticket_room.test_a_question_without_room_fails_its_own_run_and_no_other,
    ),
    Fault(faults.the_doctor_sees_no_flood, test_room.test_a_flood_of_events_stops_no_run),
    Fault(
        faults.a_full_store_is_not_told,
        test_room.test_a_full_store_is_reported_and_waited_for,
    ),
    Fault(
        faults.the_clock_here_is_right,
        test_clock.test_a_question_is_open_for_as_long_as_it_was_asked,
        {"seconds": 600.0},
    ),
    Fault(faults.skew_is_not_measured, test_clock.test_the_doctor_says_how_far_the_clock_here_is),
    Fault(
        faults.beats_hide_their_release,
        test_clock.test_the_doctor_says_which_worker_has_another_release_and_a_wrong_clock,
    ),
    Fault(
        faults.beats_hide_their_clock,
        test_clock.test_the_doctor_says_which_worker_has_another_release_and_a_wrong_clock,
    ),
    Fault(
        faults.rows_of_questions_hold_state,
        test_at_work.test_what_a_person_reads_is_the_question_and_nothing_else,
    ),
    Fault(faults.tables_are_not_escaped, test_terminal.test_every_command),
    Fault(faults.json_is_not_escaped, test_terminal.test_every_command),
    Fault(faults.tracebacks_are_not_escaped, test_terminal.test_every_command),
    Fault(
        faults.letters_forget_their_event,
        test_dead.test_it_starts_the_run_that_it_would_have_started_and_no_other,
        {"event_id": "paid-1"},
    ),
    Fault(
        faults.unread_events_go_unseen,
        test_unread.test_a_worker_and_the_doctor_say_which_events_nobody_has_read,
    ),
    Fault(
        faults.secrets_are_quoted,
        test_secrets.test_an_exception_tells_no_secret_to_log_lists_or_disk,
    ),
    Fault(
        faults.hooks_are_not_asked,
        test_secrets.test_an_exception_tells_no_secret_to_log_lists_or_disk,
    ),
    Fault(faults.passwords_travel_unsaid, test_secrets.test_a_password_in_clear_is_warned_of),
    Fault(
        faults.the_local_server_is_open, test_local_server.test_nobody_gets_in_without_its_password
    ),
    Fault(
        faults.files_are_left_to_the_umask,
        test_local_server.test_nobody_gets_in_without_its_password,
    ),
    Fault(
        faults.files_are_left_to_the_umask,
        test_local_server.test_the_address_that_commands_find_is_readable_by_its_owner_only,
    ),
]

"""What a search says: the winner and why, what larger figures buy, or how far the nearest trial is from the budget."""

import pytest

from bench.search.result import FinalTraining, Limit, SearchResult
from bench.search.run import exit_code_of
from bench.search.shown.sentences import sentences
from bench.search.shown.table import columns, rows, terminal_table
from bench.search.winner import concluded
from tests.support.searching.searches import paired, search, trial, unfinished

BUDGET = (Limit("top1", least=0.98), Limit("size_bytes", most=25_000))


def ended() -> SearchResult:
    """Return a search with a winner, two larger trials of the front, one pruned and one failed."""
    trials = (
        trial(0, 4920, 19_300),
        trial(1, 4921, 20_400),
        trial(2, 4960, 31_000, keeps_budget=False),
        unfinished(3, "pruned", "below the median"),
        unfinished(4, "failed", "the loss is NaN"),
    )
    return concluded(search(*trials, limits=BUDGET), paired)


def said(result: SearchResult, start: str) -> str:
    """Return the sentence that begins so."""
    (found,) = [sentence for sentence in sentences(result) if sentence.startswith(start)]
    return found


def test_the_question_names_the_budget() -> None:
    wanted = "mnist_cnn_crop: the smallest size with accuracy at least 98.00 % and size at most 25.0 kB"
    assert sentences(ended())[0] == wanted


def test_trials_are_counted_by_how_they_ended() -> None:
    assert sentences(ended())[1] == "5 trials: 3 to their end, 1 stopped early, 1 failed; 2 kept the budget"


def test_what_all_trials_share_is_said_once_and_not_in_the_table() -> None:
    assert sentences(ended())[2] == "All trials have learning_rate 0.001"
    assert rows(ended())[0][-1] == "filters 4"


def test_a_single_trial_shares_nothing() -> None:
    alone = search(trial(0, 4920, 19_300))
    assert rows(alone)[0][-1] == "filters 4, learning_rate 0.001"


def test_the_winner_is_named_with_its_settings() -> None:
    wanted = "98.40 % of 5,000 validation pictures right (int8 in litert, filters 4, learning_rate 0.001)"
    assert said(ended(), "The winner") == f"The winner is trial 0 with 19.3 kB, {wanted}"


def test_the_reason_compares_the_winner_with_the_next() -> None:
    sentence = said(ended(), "Why it and not the next")
    assert "trial 0 with 19.3 kB against trial 1 with 20.4 kB" in sentence
    assert "98.40 % against 98.42 % of the validation pictures are right: accuracy not distinguishable" in sentence


def test_a_tie_is_said_to_be_a_tie() -> None:
    tie = concluded(search(trial(0, 4920, 19_300), trial(1, 4921, 19_300), limits=BUDGET), paired)
    assert said(tie, "A tie with the next").endswith("the sample does not decide between them")


def test_what_the_budget_costs_is_said_with_what_the_sample_shows() -> None:
    first = said(ended(), "1.1 kB more buys 0.02 points: trial 1 with 20.4 kB")
    assert "; not shown by the sample: accuracy not distinguishable" in first
    last = said(ended(), "11.7 kB more buys 0.80 points: trial 2 with 31.0 kB")
    assert "over the budget (size 31.0 kB, 6.0 kB (24 %) over 25.0 kB)" in last
    assert last.endswith("the sample shows that it is more accurate")


def test_the_nearest_and_how_far_is_said_where_nothing_keeps_the_budget() -> None:
    near, far = trial(0, 4895, 25_500, keeps_budget=False), trial(1, 4950, 90_000, keeps_budget=False)
    found = concluded(search(far, near, limits=BUDGET), paired)
    sentence = said(found, "No trial keeps the budget. The nearest is trial 0 (filters 4, learning_rate 0.001)")
    assert sentence.endswith("accuracy 97.90 %, 0.10 points under 98.00 %; size 25.5 kB, 0.5 kB (2 %) over 25.0 kB")


def test_what_is_only_just_over_the_budget_is_not_said_to_be_0_percent_over() -> None:
    found = concluded(search(trial(0, 4990, 25_016, keeps_budget=False), limits=BUDGET), paired)
    assert said(found, "No trial keeps").endswith("size 25.0 kB, 0.0 kB (0.064 %) over 25.0 kB")


def test_a_figure_that_was_not_measured_is_not_within_the_budget() -> None:
    lacking = trial(0, 4990, 10_000, keeps_budget=False)
    found = concluded(search(lacking, limits=(Limit("arena_bytes", most=9_000),)), paired)
    assert said(found, "No trial keeps").endswith("arena is not known")


def test_without_a_trial_that_is_done_nothing_is_known() -> None:
    found = concluded(search(unfinished(0, "failed", "NaN"), limits=BUDGET), paired)
    assert sentences(found)[-1] == "No trial was trained to its end: nothing is known yet"


def test_without_a_trial_that_is_done_the_most_accurate_that_was_stopped_is_named() -> None:
    stopped = trial(1, 4950, 9_000, state="pruned", keeps_budget=None, reason="the time was over")
    found = concluded(search(unfinished(0, "failed", "NaN"), stopped, limits=BUDGET), paired)
    wanted = "The most accurate so far is trial 1: 99.00 % of 5,000 validation pictures after 9 epochs, stopped: the time"
    assert sentences(found)[-1].startswith(wanted)


@pytest.mark.parametrize(
    ("correct", "size_bytes", "over"),
    [
        ((9790, 9800, 9810), 25_000, None),
        ((9790, 9800, 9807), 25_000, "accuracy 97.99 %, 0.01 points under 98.00 %"),
        ((9790, 9800, 9810), 25_500, "size 25.5 kB, 0.5 kB (2 %) over 25.0 kB"),
    ],
)
def test_the_final_trainings_decide_too_whether_the_budget_is_kept(
    correct: tuple[int, ...], size_bytes: int, over: str | None
) -> None:
    finals = tuple(FinalTraining(seed, right, 10_000, {"size_bytes": size_bytes}) for seed, right in enumerate(correct))
    found = concluded(search(trial(0, 4920, 19_300), limits=BUDGET, final=finals), paired)
    assert exit_code_of(found) == (0 if over is None else 1)
    start = "So it does not keep the budget: "
    warnings = [sentence for sentence in sentences(found) if sentence.startswith(start)]
    assert warnings == ([] if over is None else [f"{start}{over}. Search again under another --name with a tighter limit"])


def test_a_search_without_a_winner_ends_with_exit_code_1() -> None:
    assert exit_code_of(concluded(search(trial(0, 4895, 25_500, keeps_budget=False), limits=BUDGET), paired)) == 1


def test_the_final_trainings_are_said_with_their_mean_and_range() -> None:
    finals = tuple(FinalTraining(seed, 9910 + seed, 10_000, {"size_bytes": 19_300 + 200 * seed}) for seed in range(3))
    found = concluded(search(trial(0, 4920, 19_300), limits=BUDGET, final=finals, bundle="build/x.int8.tflite"), paired)
    assert sentences(found)[-3:] == [
        "Trained with 3 seeds by the whole recipe: 99.11 % of the test pictures, 99.10 % to 99.12 %",
        "size 19.3 to 19.7 kB",
        "The file to ship: build/x.int8.tflite",
    ]


def test_the_table_has_the_winner_on_top_and_failures_at_the_end() -> None:
    assert [row[0] for row in rows(ended())] == ["0", "1", "2", "3", "4"]
    assert columns(ended())[:5] == ["trial", "", "top-1 %", "size, kB", "budget"]
    assert rows(ended())[0][1:5] == ["winner", "98.40", "19.3", "kept"]
    assert rows(ended())[4][4] == "failed: the loss is NaN"


def test_the_table_has_its_winner_on_the_terminal() -> None:
    assert "winner" in terminal_table(ended())[2]

"""What a record of a training says goes wrong, and what does not."""

from larq_reactnet._insight.troubles import troubles_of


def record(step=1, epoch=0, loss=1.0, rate=0.1, signs=None, kernels=None, **logs):
    return {
        "step": step,
        "epoch": epoch,
        "logs": {"loss": loss, **logs},
        "learning_rate": rate,
        "not_finite": None,
        "signs": signs or {},
        "kernels": kernels or {},
    }


def kinds(new, *earlier, **options):
    return [(t.kind, t.where) for t in troubles_of(new, list(earlier), **options)]


def test_dead_layer_is_named_with_its_channels():
    sign = {"channels": "00ff80ff", "positions": 640}
    (found,) = troubles_of(record(signs={"conv3": sign}), [])
    assert (found.kind, found.where) == ("dead layer", "conv3")
    assert "3 of 4 channels have the same sign at all 640 positions" in found.value
    assert "(channels 1, 3 always +1 and channel 0 always -1)" in found.value
    assert "batch normalization" in found.cure
    assert kinds(record(signs={"conv3": {**sign, "positions": 32}})) == []  # too few to tell
    assert kinds(record(signs={"conv3": {**sign, "channels": "00809080"}})) == []


def test_no_flips():
    kernel = {"flips": 0.0, "size": 5000, "mean": 0.3, "at_clip": 0.0, "gradient": 0.5}
    (found,) = troubles_of(record(kernels={"conv3": kernel}), [])
    assert (found.kind, found.where) == ("no flips", "conv3")
    assert "no sign of its 5,000 weights" in found.value
    assert "raise the learning rate" in found.cure
    (found,) = troubles_of(record(kernels={"conv3": {**kernel, "gradient": 0.0}}), [])
    assert "No gradient reaches them" in found.cure
    for changes in ({"flips": 1e-4}, {"flips": None}, {"size": 100}):
        assert kinds(record(kernels={"conv3": {**kernel, **changes}})) == []
    assert kinds(record(kernels={"conv3": kernel}), frozen=frozenset(["conv3"])) == []
    # At the end of a schedule, weights come to rest.
    assert kinds(record(epoch=1, rate=0.001, kernels={"conv3": kernel}), record()) == []
    clipped = {**kernel, "flips": 0.1, "at_clip": 0.95}
    assert kinds(record(kernels={"conv3": clipped})) == [("clipped", "conv3")]


def test_exploding_loss_is_one_of_the_same_step():
    assert kinds(record(epoch=1, loss=2.5), record(loss=1.0)) == [("exploding loss", "loss")]
    assert kinds(record(epoch=1, loss=1.9), record(loss=1.0)) == []
    assert kinds(record(step=2, loss=2.5), record(loss=1.0)) == []


def test_second_step_below_chance():
    bad = record(step=2, val_accuracy=0.1)
    (found,) = troubles_of(bad, [], classes=10)
    assert (found.kind, found.where) == ("below chance", "val_accuracy")
    assert "10.00% in epoch 1, and guesses give 10.00%" in found.value
    assert kinds({**bad, "step": 1}, classes=10) == []
    assert kinds(record(step=2, val_accuracy=0.11), classes=10) == []
    assert kinds(record(step=2, val_top_5_accuracy=0.1), classes=10) == []

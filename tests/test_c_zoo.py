"""Networks of the zoo as proved C: all that fit a microcontroller, and one that is larger."""

import larq_reactnet as lr

import pytest
from helpers import every

MOST = 2 * 1024**2  # bytes of flash
METADATA = lr.converters.Metadata(mean=(127.5,), std=(127.5,))


def file_of(model):
    """Its `.tflite` as `export` makes it, without the proofs, which other tests have."""
    cured = lr.converters.cure(model)
    return lr.converters.compress(lr.converters.convert(lr.converters.fold(cured)), "int8")


@every
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", lr.zoo.list_models())
def test_networks_for_small_images(name, tmp_path):
    try:
        model = lr.zoo.create(name, input_shape=(32, 32, 3), num_classes=10)
    except ValueError as error:
        pytest.skip(f"It is not for images of 32x32: {error}")
    content = file_of(model)
    if len(content) > MOST:
        pytest.skip(f"Its file has {len(content):,} bytes.")
    report = lr.converters.export_c(
        content, tmp_path / "c", metadata=METADATA, verify_limit=4, progress=False
    )
    print(f"{name}: flash {report.flash_bytes:,}, RAM {report.ram_bytes:,}")
    assert report.proof.is_equal
    assert report.proof.signs
    try:
        report = lr.converters.export_c(
            content,
            tmp_path / "c",
            arithmetic="int16",
            metadata=METADATA,
            verify_limit=4,
            min_agreement=0,  # of random weights: a sign that is another changes all that follows
            progress=False,
        )
    except lr.converters.ExportError as error:
        if "has no form in int16" not in str(error):
            raise
        return
    print(f"{name} in int16: RAM {report.ram_bytes:,}; {dict(report.rows())['arithmetic']}")
    assert report.proof.is_equal


@every
@pytest.mark.timeout(1800)
def test_a_network_for_imagenet(tmp_path):
    """It says what it would need, is refused where that is too much, and written if asked."""
    content = file_of(lr.zoo.create("quicknet_small"))
    arguments = {"metadata": METADATA, "progress": False, "verify_limit": 1}
    with pytest.raises(lr.converters.ExportError, match="more than the 2,097,152 of `flash`"):
        lr.converters.export_c(content, tmp_path / "c", flash=MOST, **arguments)
    report = lr.converters.export_c(content, tmp_path / "c", **arguments)
    print(f"quicknet_small: flash {report.flash_bytes:,}, RAM {report.ram_bytes:,}")
    assert report.flash_bytes > MOST
    assert report.proof.is_equal

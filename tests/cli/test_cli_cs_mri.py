"""`restorekit cs-mri`, `degrade kspace` and `eval cs-mri`: files in and out, what is guessed, and what is refused."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runs import write_image, write_tiny_model
from PIL import Image

from restorekit.models import build
from restorekit.numerics.metrics import psnr
from restorekit.tasks import cs_mri
from restorekit.zoo import save_weights
from tests.cards import bare_card


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.safetensors")


def smooth(height=32, width=30):
    y, x = np.mgrid[:height, :width]
    return np.exp(-(((y - height / 2) / 6) ** 2) - ((x - width / 2) / 5) ** 2).astype(np.float32)


def k_space_of(image):
    """Centred in both domains, as scanners' files are."""
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho")).astype(np.complex64)


def mask(height=32, width=30, share=0.5):
    values = np.random.default_rng(0).random((height, width)) < share
    values[height // 2 - 4 : height // 2 + 5, width // 2 - 4 : width // 2 + 5] = True
    return values


@pytest.fixture
def scan():
    np.save("k.npy", k_space_of(smooth() * np.exp(0.5j)))
    np.save("mask.npy", mask())


def magnitude(path):
    return np.asarray(Image.open(path)) / 65535


def test_k_space_becomes_a_picture(run, model, scan):
    result = run("cs-mri", "k.npy", "--mask", "mask.npy", "--model", model)
    assert result.code == 0, result.stderr
    assert "k-space taken as centred" in result.stderr
    assert "mask taken as centred" in result.stderr
    picture = magnitude("k_reconstructed.png")
    assert psnr(picture, smooth() / smooth().max()) > 25


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_order_and_scale_of_k_space(run, model, centred, scale):
    image = smooth() if centred else np.fft.ifftshift(smooth())
    k = k_space_of(smooth()) * scale
    np.save("k.npy", k if centred else np.fft.ifftshift(k))
    np.save("mask.npy", np.fft.ifftshift(mask()))
    result = run("cs-mri", "k.npy", "--mask", "mask.npy", "--model", model, "-o", "x.npy")
    assert result.code == 0, result.stderr
    assert "mask taken as not centred" in result.stderr
    x = np.load("x.npy")
    assert x.dtype == np.complex64
    assert psnr(np.abs(x) / scale, image) > 25


def test_every_slice_is_done(run, model):
    slices = np.stack([k_space_of(smooth()), 2 * k_space_of(smooth())])
    np.savez("k.npz", kspace=slices, other=np.zeros(3))
    np.save("mask.npy", mask())
    result = run("cs-mri", "k.npz", "--mask", "mask.npy", "--model", model, "-o", "x.nii.gz", "--json")
    assert result.code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["status"], record["slices"], record["iterations"]) == ("done", 2, 12)
    nibabel = pytest.importorskip("nibabel")
    volume = np.asarray(nibabel.load("x.nii.gz").dataobj)
    assert volume.shape == (30, 32, 2)
    assert volume[..., 1].max() == pytest.approx(2 * volume[..., 0].max(), rel=0.05)
    refused = run("cs-mri", "k.npz", "--mask", "mask.npy", "--model", model, "-o", "x.png")
    assert refused.code == 1
    assert "one slice, not 2" in refused.errors[0]
    assert not Path("x.png").exists()


def test_slices_too_many_for_a_picture_are_refused_before_the_work(run, model, monkeypatch):
    np.save("k.npy", np.stack([k_space_of(smooth())] * 2))
    np.save("mask.npy", mask())
    monkeypatch.setattr(cs_mri, "_reconstruct", lambda *_: pytest.fail("the work has begun"))
    result = run("cs-mri", "k.npy", "--mask", "mask.npy", "--model", model, "-o", "x.png")
    assert (result.code, len(result.errors)) == (1, 1)
    assert "a .png holds one slice, not 2; write .npy or .nii.gz" in result.errors[0]


def test_files_of_scanners(run, model):
    h5py = pytest.importorskip("h5py")
    k = k_space_of(smooth())
    with h5py.File("k.h5", "w") as file:
        file["kspace"] = k[None]
    Path("b.hdr").write_text("# Dimensions\n30 32 1 1\n")
    Path("b.cfl").write_bytes(k.tobytes())
    np.save("line.npy", np.arange(30) % 2 == 1)
    for name in ("k.h5", "b.cfl"):
        result = run("cs-mri", name, "--model", model, "--iterations", 2, "-o", f"{name}.npy")
        assert result.code == 0, result.stderr
        assert "100.0 % of k-space" in result.stderr
        assert psnr(np.abs(np.load(f"{name}.npy")), smooth()) > 40
    assert run("cs-mri", "k.h5", "--mask", "line.npy", "--centred", "--model", model).code == 0


def test_pictures_are_sampled_and_reconstructed(run, model):
    Image.fromarray((255 * smooth()).astype(np.uint8)).save("scan.png")
    arguments = ("cs-mri", "scan.png", "--simulate", "radial:0.5", "--seed", 1, "--model", model, "--json")
    result = run(*arguments, "-o", "rec.png")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["output"] == "rec.png"
    assert psnr(np.asarray(Image.open("rec.png")) / 255, smooth()) > 25
    streamed = run("cs-mri", "-", "--simulate", "radial:0.5", "--model", model, stdin=Path("scan.png").read_bytes())
    assert streamed.stdout == Path("rec.png").read_bytes()


def test_degraded_k_space_is_reconstructed(run, model):
    Image.fromarray((255 * smooth()).astype(np.uint8)).save("scan.png")
    result = run("degrade", "kspace", "scan.png", "--simulate", "random:0.5", "-o", "k.npy")
    assert result.code == 0, result.stderr
    k = np.load("k.npy")
    assert abs((k != 0).mean() - 0.5) < 0.01
    assert run("cs-mri", "k.npy", "--model", model).code == 0
    assert psnr(magnitude("k_reconstructed.png"), smooth() / smooth().max()) > 25
    assert run("degrade", "kspace", "scan.png").code == 2
    refused = run("degrade", "kspace", "scan.png", "--simulate", "random:0.5", "-o", "k.png")
    assert refused.code != 0
    assert "k-space is complex, and is written as .npy, not as '.png'" in refused.stderr
    assert not Path("k.png").exists()


def test_batches_resume_and_keep_what_is_there(run, model, scan):
    arguments = ("cs-mri", "k.npy", "--mask", "mask.npy", "--model", model, "--iterations", 1)
    assert run(*arguments).code == 0
    assert "already exists" in run(*arguments).errors[0]
    assert "skipped" in run(*arguments, "--skip-existing").stderr
    Path("k_reconstructed.png").write_bytes(b"half")
    assert run(*arguments, "--skip-existing").code == 0
    assert magnitude("k_reconstructed.png").max() == 1


def broken(name, change):
    values = k_space_of(smooth())
    np.save(name, change(values))


FAULTS = {
    "zero bytes": (lambda: Path("f.npy").write_bytes(b""), "zero bytes"),
    "text": (lambda: Path("f.npy").write_text("k-space"), "no k-space"),
    "truncated": (lambda: Path("f.npy").write_bytes(Path("k.npy").read_bytes()[:500]), "truncated"),
    "pickle": (lambda: np.save("f.npy", np.array([{}], object)), "damaged"),
    "NaN": (lambda: broken("f.npy", lambda k: k * np.nan), "NaN"),
    "infinite": (lambda: broken("f.npy", lambda k: np.where(k == k[0, 0], np.inf, k)), "infinite"),
    "zeros": (lambda: broken("f.npy", lambda k: 0 * k), "zeros"),
    "real": (lambda: np.save("f.npy", smooth()), "complex"),
    "coils": (lambda: broken("f.npy", lambda k: np.stack([k, k])[None]), "coils"),
    "line": (lambda: broken("f.npy", lambda k: k[0]), "[H, W]"),
    "no slices": (lambda: broken("f.npy", lambda k: k[None][:0]), "no slices"),
    "other size": (lambda: broken("f.npy", lambda k: k[1:]), "must be equal"),
    "missing": (lambda: None, "no such file"),
    "h5 named npy": (lambda: Path("f.npy").write_bytes(b"\x89HDF\r\n\x1a\n"), "HDF5 file is truncated"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_k_space_is_refused(run, model, scan, fault):
    make, message = FAULTS[fault]
    make()
    result = run("cs-mri", "f.npy", "k.npy", "--mask", "mask.npy", "--model", model, "--iterations", 1)
    assert (result.code, len(result.errors)) == (1, 1)
    assert message in result.errors[0]
    assert "f.npy" in result.errors[0]
    assert Path("k_reconstructed.png").exists()
    assert not Path("f_reconstructed.png").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((32, 30)), "empty"),
        (np.full((32, 30), 0.5), "0 and 1"),
        (np.ones((1, 32, 30)), "shape"),
        (np.ones((32, 30), complex), "0 and 1"),
    ],
)
def test_faulty_masks_are_refused(run, model, scan, values, message):
    np.save("bad.npy", values)
    result = run("cs-mri", "k.npy", "--mask", "bad.npy", "--model", model)
    assert result.code == 1
    assert len(result.errors) == 1
    assert message in result.errors[0]
    assert "bad.npy" in result.errors[0]


def test_faulty_bart_files_are_refused(run, model):
    k = k_space_of(smooth())
    Path("b.cfl").write_bytes(k.tobytes()[:-8])
    for header, message in (
        (None, "no b.hdr"),
        ("# Dimensions\n", "does not tell"),
        ("# Dimensions\n30 32\n", "truncated"),
        ("# Dimensions\n30 4 1 8\n", "promises"),
    ):
        if header is not None:
            Path("b.hdr").write_text(header)
        result = run("cs-mri", "b.cfl", "--model", model)
        assert result.code == 1
        assert message in result.errors[0]
    Path("b.cfl").write_bytes(k.tobytes())
    Path("b.hdr").write_text("# Dimensions\n30 4 1 8\n")
    assert "8 coils" in run("cs-mri", "b.cfl", "--model", model).errors[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--simulate", "radial"), "radial:0.3"),
        (("--simulate", "spiral:0.3"), "cartesian:0.3"),
        (("--simulate", "radial:0"), "share"),
        (("--simulate", "radial:0.3", "--mask", "mask.npy"), "exclude"),
        (("-o", "x.jpg"), ".nii.gz"),
        (("--noise", "100"), "noise"),
    ],
)
def test_wrong_usage(run, model, scan, arguments, message):
    result = run("cs-mri", "k.npy", "--model", model, *arguments)
    assert result.code == 2
    assert message in result.errors[0]


@pytest.mark.parametrize(("module", "arguments"), [("h5py", ("k.h5",)), ("nibabel", ("k.npy", "-o", "x.nii"))])
def test_the_extra_is_named(run, model, scan, monkeypatch, module, arguments):
    Path("k.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, module, None)
    result = run("cs-mri", *arguments, "--model", model)
    assert result.code in (1, 2)
    assert "restorekit[mri]" in result.errors[0]


def test_pictures_without_a_mask_are_told_how_to_be_sampled(run, model):
    write_image("scan.png", (12, 14))
    result = run("cs-mri", "scan.png", "--model", model)
    assert result.code == 1
    assert "--simulate or --mask" in result.errors[0]


def test_colour_pictures_are_refused(run, model):
    write_image("colour.png", (12, 14, 3))
    result = run("cs-mri", "colour.png", "--simulate", "radial:0.5", "--model", model)
    assert result.code == 1
    assert "colour picture" in result.errors[0]


def test_evaluation(run, model):
    for index in range(2):
        Path("data").mkdir(exist_ok=True)
        disc = 255 * (smooth() > 0.5 + 0.2 * index)
        Image.fromarray(disc.astype(np.uint8)).save(f"data/{index}.png")
    write_image("data/other.png", (20, 20))
    np.save("mask.npy", mask())
    result = run(
        *("eval", "cs-mri", "--data", "data", "--sampling", "radial:0.4", "--mask", "mask.npy"),
        *("--against", "zero-filling", "--against", "tv", "--model", model, "--iterations", 2, "--json", "-"),
    )
    assert result.code == 0, result.stderr
    record = json.loads(result.stdout)
    assert [skipped["image"] for skipped in record["skipped"]] == ["other.png"]
    found = {(entry["method"], entry["mask"]): entry["psnr"] for entry in record["results"]}
    assert len(found) == 6
    for level in ("radial:0.4", "mask"):
        assert found["tv", level] > found["zero-filling", level]
    levels = {entry["mask"]: entry["level"] for entry in record["results"]}
    assert levels == {"radial:0.4": 40, "mask": round(100 * mask().mean())}
    assert run("eval", "cs-mri", "--data", "data", "--model", model).code == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    settings = {"channels": 2, "steps": 3, "knots": [0.01, 0.03]}
    network = build("cs-tv", settings)
    card = replace(bare_card("trained", "cs-mri", 2, (10, 50)), architecture="cs-tv", settings=settings)
    path = tmp_path_factory.mktemp("models") / "trained.safetensors"
    save_weights(path, network.state_dict(), card)
    return path


def test_a_trained_model_reconstructs_scans_and_pictures(run, trained, scan):
    result = run("cs-mri", "k.npy", "--mask", "mask.npy", "--model", trained, "-o", "x.npy", "--json")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["iterations"] == 3
    assert psnr(np.abs(np.load("x.npy")), smooth()) > 25
    Image.fromarray((255 * smooth()).astype(np.uint8)).save("scan.png")
    assert run("cs-mri", "scan.png", "--simulate", "radial:0.5", "--model", trained).code == 0
    assert psnr(np.asarray(Image.open("scan_reconstructed.png")) / 255, smooth()) > 25


def test_total_variation_needs_no_model(run, scan):
    result = run("cs-mri", "k.npy", "--mask", "mask.npy", "--model", "tv", "--iterations", 30, "--json", "-o", "x.npy")
    assert result.code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["model"], record["iterations"]) == ("tv", 30)
    assert psnr(np.abs(np.load("x.npy")), smooth()) > 25


def test_models_that_cannot_reconstruct(run, trained, scan, tmp_path):
    other = write_tiny_model(tmp_path / "jpeg.safetensors", task="deblock")
    for arguments, message in (
        (
            ("--model", other),
            "a model to deblock grey images; one for cs-mri, a denoiser of grey images or tv would fit",
        ),
        (("--model", trained, "--iterations", 5), "trained for 3 iterations"),
        (("--model", write_tiny_model(tmp_path / "colour.safetensors", channels=3)), "grey"),
    ):
        result = run("cs-mri", "k.npy", *arguments)
        assert result.code in (1, 2)
        assert message in result.errors[0]
    write_image("grey.png")
    refused = run("denoise", "grey.png", "--sigma", 25, "--model", trained)
    assert refused.code == 1
    assert "a model to cs-mri, not to denoise" in refused.errors[0]


@pytest.mark.parametrize("method", ["tv", "denoiser", "trained"])
def test_iterations_are_plotted(run, model, trained, scan, method):
    name = {"tv": "tv", "denoiser": model, "trained": trained}[method]
    result = run("cs-mri", "k.npy", "--mask", "mask.npy", "--model", name, "--trajectory", "plot.png")
    assert result.code == 0, result.stderr
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    Image.fromarray((255 * smooth()).astype(np.uint8)).save("scan.png")
    result = run("cs-mri", "scan.png", "--simulate", "radial:0.5", "--model", name, "--trajectory", "known.png")
    assert result.code == 0, result.stderr
    assert Path("known.png").exists()


def test_plots_that_are_refused(run, scan):
    np.save("two.npy", np.stack([np.load("k.npy")] * 2))
    result = run("cs-mri", "two.npy", "--model", "tv", "-o", "x.npy", "--trajectory", "plot.png")
    assert (result.code, Path("plot.png").exists()) == (1, False)
    assert "2 slices" in result.errors[0]
    Image.fromarray((255 * smooth()).astype(np.uint8)).save("scan.png")
    result = run("cs-mri", "k.npy", "--model", "tv", "--trajectory", "plot.png", "--reference", "scan.png")
    assert result.code == 2
    assert "--reference" in result.errors[0]


def test_complex_slices_are_measured_by_their_magnitude(run, trained):
    Path("data").mkdir()
    images = np.stack([smooth() * np.exp(1j * np.linspace(0, 3, 30)), 2 * smooth() * 1j]).astype(np.complex64)
    np.save("data/complex.npy", images)
    np.save("data/parts.npy", np.stack([images.real, images.imag], 1).astype(np.float16))
    arguments = ("eval", "cs-mri", "--data", "data", "--sampling", "random:0.4", "--against", "zero-filling")
    result = run(*arguments, "--model", trained, "--model", "tv", "--json", "-")
    assert result.code == 0, result.stderr
    record = json.loads(result.stdout)
    assert "magnitudes are compared" in record["protocol"]
    figures = {entry["method"]: entry for entry in record["results"]}
    assert list(figures) == ["zero-filling", "trained (balanced)", "tv"]
    assert len(figures["tv"]["images"]) == 4
    assert figures["tv"]["psnr"] > figures["zero-filling"]["psnr"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 2, 16, 16)), "zeros"),
        (np.zeros((2, 16, 16)), "[slices, 2, H, W]"),
        (np.full((1, 2, 16, 16), np.nan), "NaN"),
    ],
)
def test_faulty_slices_are_refused(run, values, message):
    Path("data").mkdir()
    np.save("data/slices.npy", values)
    result = run("eval", "cs-mri", "--data", "data", "--sampling", "radial:0.4", "--model", "tv")
    assert result.code in (1, 2)
    assert message in result.errors[0]

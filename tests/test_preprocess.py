"""Preprocess and Frame: sizes as the detection papers define them, and boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from baimu.errors import UnknownNameError
from baimu.preprocess import Frame, Preprocess, imagenet


@pytest.mark.parametrize(
    ("preprocess", "source", "expected"),
    [
        (imagenet, (480, 640), (800, 1067)),
        (imagenet, (640, 480), (1067, 800)),
        (imagenet, (500, 1000), (667, 1333)),  # the longer side decides
        (imagenet, (1, 4000), (1, 1333)),  # never thinner than a pixel
        (imagenet.replace(resize="letterbox", size=640), (480, 640), (480, 640)),
        (imagenet.replace(resize="letterbox", size=640), (100, 50), (640, 320)),
        (imagenet.replace(resize="stretch", size=640), (100, 50), (640, 640)),
        (imagenet.replace(resize="none"), (123, 45), (123, 45)),
    ],
)
def test_sizes(preprocess, source, expected):
    assert preprocess.frame(*source).size == expected


def test_batch_sizes():
    frames = [imagenet.frame(480, 640), imagenet.frame(640, 480)]
    assert imagenet.batch_size_of(frames) == (1088, 1088)
    assert imagenet.replace(pad_to=1).batch_size_of(frames) == (1067, 1067)
    letterbox = imagenet.replace(resize="letterbox", size=640)
    assert letterbox.batch_size_of([letterbox.frame(10, 100)]) == (640, 640)


@given(
    st.sampled_from(["shortest", "letterbox", "stretch", "none"]),
    st.integers(8, 3000),
    st.integers(8, 3000),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_boxes_there_and_back(resize, height, width, left, top):
    """Also with an offset; the whole source is the whole picture."""
    plain = imagenet.replace(resize=resize).frame(height, width)
    frame = Frame(plain.source_size, plain.size, plain.scale_x, plain.scale_y, left, top)
    whole = np.array([[0, 0, width, height]], np.float32)
    inside = frame.from_source(whole)
    np.testing.assert_allclose(inside, [[left, top, left + plain.size[1], top + plain.size[0]]], rtol=1e-5)
    boxes = np.random.default_rng(0).uniform(0, 1, (5, 4)).astype(np.float32) * [width, height, width, height]
    np.testing.assert_allclose(frame.to_source(frame.from_source(boxes)), boxes, atol=2e-2, rtol=1e-5)
    assert frame.to_source(boxes).dtype == np.float32


def test_boxes_are_clipped_to_the_source():
    frame = imagenet.replace(resize="none").frame(30, 40)
    assert frame.to_source(np.array([[-5, -5, 99, 99]], np.float32)).tolist() == [[0, 0, 40, 30]]
    assert frame.to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_normalisation_and_its_padding(order):
    """(x − mean) / std by channel, in the network's order, and zero outside each image's size."""
    preprocess = Preprocess(mean=(10, 20, 30), std=(2, 4, 5), channel_order=order)
    images = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    sizes = torch.tensor([[4, 6], [2, 3]])
    out = preprocess.normalize(images, sizes)
    channels = images if order == "rgb" else images[:, [2, 1, 0]]
    expected = (channels.double() - torch.tensor([10, 20, 30]).view(3, 1, 1)) / torch.tensor([2, 4, 5]).view(3, 1, 1)
    torch.testing.assert_close(out[0].double(), expected[0])
    torch.testing.assert_close(out[1, :, :2, :3].double(), expected[1, :, :2, :3])
    assert out[1, :, 2:].abs().sum() == 0
    assert out[1, :, :, 3:].abs().sum() == 0
    torch.testing.assert_close(preprocess.normalize(images)[1].double(), expected[1])


def test_normalisation_leaves_its_input_alone():
    images = torch.rand(1, 3, 4, 4) * 255
    before = images.clone()
    imagenet.normalize(images, torch.tensor([[2, 2]]))
    torch.testing.assert_close(images, before)


def test_a_document_and_back():
    preprocess = imagenet.replace(resize="letterbox", mean=(1, 2, 3))
    document = {k: list(v) if isinstance(v, tuple) else v for k, v in preprocess.to_dict().items()}  # as JSON has it
    assert Preprocess.from_dict(document) == preprocess
    with pytest.raises(UnknownNameError, match="Did you mean"):
        Preprocess.from_dict({"resise": "none"})


def test_the_default_is_what_published_weights_were_made_with():
    """Mean and deviation of torchvision's weights, in 0…255 and in the order red, green, blue."""
    from torchvision.models import ResNet50_Weights  # takes seconds

    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()
    np.testing.assert_allclose(np.array(imagenet.mean) / 255, preset.mean, atol=1e-6)
    np.testing.assert_allclose(np.array(imagenet.std) / 255, preset.std, atol=1e-6)
    assert imagenet.channel_order == "rgb"


def test_grey_is_that_of_pillow():
    """ITU-R 601's shares of red, green and blue, which Pillow rounds to whole grey levels."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    preprocess = Preprocess(mean=(0.0,), std=(1.0,), channel_order="grey")
    found = preprocess.normalize(torch.from_numpy(image).permute(2, 0, 1)[None])[0, 0].numpy()
    np.testing.assert_allclose(found, np.asarray(Image.fromarray(image).convert("L")), atol=0.51)

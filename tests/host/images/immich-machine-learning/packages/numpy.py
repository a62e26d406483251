"""As much of numpy as a question to a session of the stand-in's onnxruntime takes: lists of one dimension or two."""

float32 = "float32"


class ndarray(list):
    dtype = float32

    @property
    def shape(self):
        return (len(self), len(self[0])) if self and isinstance(self[0], list) else (len(self),)

    def tolist(self):
        return list(self)


def array(values, dtype=float32):
    return ndarray(list(map(float, value)) if isinstance(value, list) else float(value) for value in values)


def full(shape, value, dtype=float32):
    first, *rest = (shape,) if isinstance(shape, int) else shape
    return array([[value] * rest[0] if rest else value] * first)


def zeros(shape, dtype=float32):
    return full(shape, 0)


def ones(shape, dtype=float32):
    return full(shape, 1)

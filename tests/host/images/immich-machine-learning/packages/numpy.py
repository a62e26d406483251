"""As much of numpy as a question to a session of the stand-in's onnxruntime takes: lists of one dimension."""

float32 = "float32"


class ndarray(list):
    dtype = float32

    @property
    def shape(self):
        return (len(self),)

    def tolist(self):
        return list(self)


def array(values, dtype=float32):
    return ndarray(float(value) for value in values)


def full(shape, value, dtype=float32):
    return array([value] * (shape if isinstance(shape, int) else shape[0]))


def zeros(shape, dtype=float32):
    return full(shape, 0)


def ones(shape, dtype=float32):
    return full(shape, 1)

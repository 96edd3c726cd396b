"""From arrays to checked, encoded and split data sets."""

from automl_keras.data.dataset import Batch, Dataset, PreparedData, prepare_arrays
from automl_keras.data.duplicates import near_duplicate_groups
from automl_keras.data.images import check_images, image_blocks, pixel_statistics
from automl_keras.data.info import DatasetInfo
from automl_keras.data.labels import LabelCodec
from automl_keras.data.splitting import split_indices

__all__ = [
    "Batch",
    "Dataset",
    "DatasetInfo",
    "LabelCodec",
    "PreparedData",
    "check_images",
    "image_blocks",
    "near_duplicate_groups",
    "pixel_statistics",
    "prepare_arrays",
    "split_indices",
]

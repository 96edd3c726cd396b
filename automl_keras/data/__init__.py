"""From arrays, folders and streams to checked, encoded and split data sets."""

from automl_keras.data.dataset import Batch, Dataset, PreparedData
from automl_keras.data.duplicates import near_duplicate_groups
from automl_keras.data.images import check_images, image_blocks, pixel_statistics
from automl_keras.data.info import DatasetInfo
from automl_keras.data.labels import LabelCodec
from automl_keras.data.preparation import prepare_data, read_labelled
from automl_keras.data.sources import read_unlabelled
from automl_keras.data.splitting import split_indices
from automl_keras.data.stored import Images, ImageStore, StoredImages, select

__all__ = [
    "Batch",
    "Dataset",
    "DatasetInfo",
    "ImageStore",
    "Images",
    "LabelCodec",
    "PreparedData",
    "StoredImages",
    "check_images",
    "image_blocks",
    "near_duplicate_groups",
    "pixel_statistics",
    "prepare_data",
    "read_labelled",
    "read_unlabelled",
    "select",
    "split_indices",
]

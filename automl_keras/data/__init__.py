"""From arrays, folders and streams to checked, encoded and split data sets."""

from automl_keras.data.codecs import TargetCodec, codec_from_dict
from automl_keras.data.dataset import Batch, Dataset, PreparedData
from automl_keras.data.duplicates import near_duplicate_groups
from automl_keras.data.images import check_images, image_blocks, images_at_once, pixel_statistics
from automl_keras.data.info import DatasetInfo, task_from_dict
from automl_keras.data.labels import LabelCodec
from automl_keras.data.multi_label import MultiLabel, MultiLabelCodec
from automl_keras.data.preparation import prepare_data, read_labelled
from automl_keras.data.regression import Regression, ValueCodec
from automl_keras.data.sources import read_unlabelled
from automl_keras.data.splitting import split_indices
from automl_keras.data.stored import Images, ImageStore, StoredImages, select
from automl_keras.data.task import CLASSIFICATION, Classification, Task

__all__ = [
    "CLASSIFICATION",
    "Batch",
    "Classification",
    "Dataset",
    "DatasetInfo",
    "ImageStore",
    "Images",
    "LabelCodec",
    "MultiLabel",
    "MultiLabelCodec",
    "PreparedData",
    "Regression",
    "StoredImages",
    "TargetCodec",
    "Task",
    "ValueCodec",
    "check_images",
    "codec_from_dict",
    "image_blocks",
    "images_at_once",
    "near_duplicate_groups",
    "pixel_statistics",
    "prepare_data",
    "read_labelled",
    "read_unlabelled",
    "select",
    "split_indices",
    "task_from_dict",
]

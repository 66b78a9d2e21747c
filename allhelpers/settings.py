"""Every setting, its type, its default and its help, in one place.

The parameters cells of the notebooks, the command line and the settings files all end in these
classes; an unknown name or a wrong type is an error.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ._core.constants import IMAGE_SIZE, INPUT_SIZE, ORIENTATIONS, USUAL_SAMPLE
from ._core.errors import InputError
from ._core.renaming import renamed
from .data import layout as layouts
from .data import splitting
from .data.splitting import DEFAULT_SEED, HELP
from .data.weighting import Balance, ChooseBy
from .networks import registry
from .networks.registry import CLASSICAL, NAMES

YES_OR_NO = {"yes": True, "on": True, "no": False, "off": False}
PAPERS_THREE = ("mobilenet", "vgg16", "resnet50")

Optimizer = Literal["sgd", "adam", "rmsprop", "adagrad", "ftrl"]
OPTIMIZERS = get_args(Optimizer)

Engine = Literal["auto", "keras", "keras-float16", "openvino", "openvino-bfloat16"]

# The six of the paper's literature.
Activation = Literal["relu", "tanh", "elu", "sigmoid", "softplus", "softsign"]
ACTIVATIONS = get_args(Activation)

Sensitivity = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="share of the positive class's cells that shall be found: sets the threshold; "
        "0: the most probable class",
    ),
]

LEAST_SIZE = 64
# Beyond these nothing can be computed, or stored; NumPy's seeds end there.
MOST_SEED, MOST_EPOCHS, MOST_CELLS = 2**32 - 1, 100_000, 100_000
MOST_PIXELS, MOST_UNITS, MOST_IMAGES = 65_536, 16_384, 10**9

SAMPLE, SAMPLE_PART = "sample", "cell|size|brightness|file"

# Settings that say where things are; what lies there is told by its content.
PLACES = (
    "images",
    "manifest",
    "layout",
    "allow_subset",
    "max_rejected",
    "weights",
    "run_folder",
    "cache_folder",
    "overwrite",
    "figures",  # what is shown, and no result
)

Settings = TypeVar("Settings", bound=BaseModel)


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """A text that must pass a check, and stays as it is."""

    def unchanged(text: str) -> str:
        check(text)
        return text

    return AfterValidator(unchanged)


def _each_once(text: str, field: ValidationInfo) -> str:
    """A list of names, none of which stands there twice: each counts once in a comparison."""
    names = [part.strip() for part in text.split(",")]
    if twice := [each for each in names if names.count(each) > 1]:
        raise InputError(f"{field.field_name} names {twice[0]} twice: name each once.")
    return text


def _possible_seeds(seeds: str) -> None:
    if odd := [seed for seed in seeds.split(",") if len(seed) > 10 or int(seed) > MOST_SEED]:
        raise InputError(f"seeds: {odd[0][:20]} is too large: choose {MOST_SEED} or less.")


Place = Annotated[str, AfterValidator(os.path.expanduser)]
Split = Annotated[str, _checked(splitting.parse)]
Network = Annotated[str, _checked(registry.get)]
Names = Annotated[str, AfterValidator(_each_once)]
Seeds = Annotated[
    str,
    Field(pattern=r"^\d+(,\d+)*$"),
    _checked(_possible_seeds),
    AfterValidator(_each_once),
]


class DataSettings(BaseModel):
    """Which cells, and who trains and who tests."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _todays_names(cls, values: Any) -> Any:
        return as_meant(cls, renamed(values)) if isinstance(values, Mapping) else values

    images: Place = Field(
        SAMPLE, description="sample, a folder, a zip or tar archive, kaggle, or kaggle:owner/name"
    )
    manifest: Place = Field(
        "",
        description="CSV file of cells; folders: a folder per class; empty: the project's "
        "data_manifest.csv",
    )
    layout: Annotated[str, AfterValidator(layouts.check)] = Field(
        "",
        description="what the folders above an image are, such as */class/patient (of class, "
        "patient, split and *); empty: found out",
    )
    positive: str = Field("", description="class to be found; empty: the first by name")
    classes: str = Field(
        "",
        description="classes to keep, in this order, separated by commas (blast,healthy): others "
        "are left out; empty: all",
    )
    split: Split = Field("paper", description=HELP)
    allow_subset: bool = Field(
        False, description="go on where only a part of the manifest's images is there"
    )
    max_rejected: int = Field(
        0,
        ge=0,
        le=MOST_IMAGES,
        description="how many images that cannot be used may be left out",
    )
    sample_cells: int = Field(
        320, ge=160, le=MOST_CELLS, description="how many synthetic cells the sample draws"
    )
    sample_differs: str = Field(
        USUAL_SAMPLE,
        pattern=rf"^(({SAMPLE_PART})(\+({SAMPLE_PART}))*)?$",
        description="what tells the sample's classes apart, joined by +: cell, size, brightness, "
        "file; the last two plant a shortcut",
    )
    seed: int = Field(DEFAULT_SEED, ge=0, le=MOST_SEED, description="seed of every random choice")
    run_folder: Place = Field(
        "runs/sample", description="where results go; in Colab drive/NAME is on Google Drive"
    )
    overwrite: bool = Field(
        False, description="replace what an earlier run with other settings has left there"
    )
    cache_folder: Place = Field("cache", description="where decoded pixels and features are kept")
    image_size: int = Field(
        IMAGE_SIZE, ge=0, description="height and width that every image must have; 0: any"
    )
    crop: int | Literal["cell"] = Field(
        0,
        description="side of the central square that is kept, in pixels; 0: the whole image; "
        "cell: the cell's own box, stretched to one size",
    )
    input_size: int = Field(
        0,
        ge=0,
        le=1024,
        description="side to which that is resized, in pixels; 0: the network's own",
    )

    @field_validator("input_size", "crop")
    @classmethod
    def _large_enough(cls, size: int | str, field: ValidationInfo) -> int | str:
        if isinstance(size, str):
            return size
        if size < 0 or 0 < size < LEAST_SIZE:
            raise InputError(
                f"{field.field_name} = {size} is too small for a cell: "
                f"choose {LEAST_SIZE} or more, or 0."
            )
        if size > MOST_PIXELS:
            raise InputError(
                f"{field.field_name} = {str(size)[:20]} is too large: "
                f"choose {MOST_PIXELS:,} or fewer."
            )
        return size

    @property
    def size(self) -> int:
        """Side of the decoded cells, in pixels."""
        return self.input_size or INPUT_SIZE

    @property
    def synthetic(self) -> bool:
        """Whether the cells are the synthetic sample."""
        return self.images == SAMPLE


class TrainingSettings(DataSettings):
    """How one architecture is trained; the defaults are the paper's."""

    weights: str = Field(
        "default", description="imagenet, random, a file, or default (sample: auto, else imagenet)"
    )
    unfreeze: str = Field(
        "default", description="lowest block to train: none (head only), default, all, or a block"
    )
    batch_norm: Literal["tail", "frozen", "all"] = Field(
        "tail",
        description="which batch normalisation is trained: tail (unfrozen blocks), frozen (none), "
        "all",
    )
    epochs: PositiveInt = Field(
        100, le=MOST_EPOCHS, description="how often the training cells are seen"
    )
    batch_size: PositiveInt = Field(32, le=MOST_CELLS, description="cells per step")
    optimizer: Optimizer = Field("sgd", description="algorithm that takes the steps")
    learning_rate: PositiveFloat = Field(1e-4, description="of the optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="of the learning rate: constant, or cosine (to zero)"
    )
    orientations: Literal[1, 8] = Field(
        1, description="1, or 8: each epoch sees a random rotation or reflection"
    )
    variants: int = Field(
        0,
        ge=0,
        le=64,
        description="further views of each cell in training: turned, zoomed and stained a little "
        "differently, computed once",
    )
    hidden_units: int = Field(
        0,
        ge=0,
        le=MOST_UNITS,
        description="units of a hidden layer in the head; 0: none, as in the paper",
    )
    activation: Activation = Field("relu", description="of that hidden layer")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of pooled features that each step leaves out"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that is spread over the classes"
    )
    balance: Balance = Field(
        "none",
        description="draw each class, or each class and each of its patients, equally often; size: "
        "weights in the loss under which size tells nothing",
    )
    balance_by: Literal["draw", "loss"] = Field(
        "draw", description="how a balance is reached: cells drawn more often, or weighing more"
    )
    size_matching: float = Field(
        1.0, ge=0, le=1, description="how far a balance of size goes: 1 wholly, 0 not at all"
    )
    depths: str = Field(
        "", description="blocks whose pooled features the head sees, separated by commas"
    )
    pooling: Literal["image", "cell"] = Field(
        "image", description="what maps are averaged over: the whole image, or the cell alone"
    )
    brighten: float = Field(1.0, ge=1, le=8, description="factor of the pixels' values")
    standardise: bool = Field(False, description="give the head features of mean 0 and deviation 1")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty of the head's weights")
    batch_norm_momentum: float = Field(
        0.99, ge=0, lt=1, description="inertia of the statistics of trained batch normalisation"
    )
    tta: Literal[1, 4, 8] = Field(
        1, description="orientations of a cell whose probabilities are averaged"
    )
    refit: bool = Field(
        False, description="train on the validation cells too, once the settings have been chosen"
    )
    refit_all: bool = Field(
        False,
        description="train the head that is saved on all cells, the test's too, once they have "
        "given their figures",
    )
    calibrate: bool = Field(
        False,
        description="correct the probabilities by a temperature, on cells of patients that the "
        "network has not met",
    )
    sensitivity: Sensitivity = 0.0
    suspects: bool = Field(
        False,
        description="let heads on frozen blocks judge every cell that they have not met, to find "
        "wrong labels: suspects.csv",
    )
    patience: int = Field(
        0,
        ge=0,
        le=MOST_EPOCHS,
        description="stop when validation has not improved for so many epochs, and keep the best; "
        "0: never",
    )
    choose_by: ChooseBy = Field(
        "loss",
        description="figure of validation by which patience keeps an epoch; by_patient: patients "
        "weigh the same; equal_size: at equal size of the cells",
    )
    feature_dtype: Literal["auto", "float16", "float32"] = Field(
        "auto", description="precision of cached features"
    )
    engine: Engine = Field(
        "auto", description="what computes the frozen part; auto: the quickest that is there"
    )
    figures: Literal["all", "main"] = Field(
        "all", description="main leaves out the map of features, Grad-CAM and galleries"
    )
    deterministic: bool = Field(
        False, description="the same results to the bit on one machine; slower on a GPU"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> TrainingSettings:
        if self.patience and self.refit:
            raise InputError(
                "patience needs validation cells, and refit trains on them: set patience = 0 or "
                "refit = False."
            )
        if self.unfreeze != "none":
            remedy = "set unfreeze = none"
        elif self.batch_norm == "all":
            remedy = "set batch_norm = tail"
        else:
            return self
        if self.depths or self.pooling == "cell":
            raise InputError(
                f"depths, and pooling over the cell, belong to a head on frozen blocks: {remedy}."
            )
        for name in ("standardise", "refit_all", "suspects"):
            if getattr(self, name):
                raise InputError(f"{name} belongs to a head on frozen blocks: {remedy}.")
        return self

    @property
    def views(self) -> list[int]:
        """In which views each cell passes the trunk: orientations first, then variants."""
        variants = range(ORIENTATIONS, ORIENTATIONS + self.variants)
        return [*range(max(self.orientations, self.tta)), *variants]

    @property
    def trained_views(self) -> list[int]:
        """Places of `views` that training shows; the others are for averaging alone."""
        needed = len(self.views)
        return [*range(self.orientations), *range(needed - self.variants, needed)]

    @property
    def needs_held_out(self) -> bool:
        """Whether something is decided on cells whose patients the network has not met."""
        return self.calibrate or self.sensitivity > 0

    def deciding(self) -> dict:
        """Settings that decide a training, without those that only say where things are."""
        values = {name: value for name, value in self.model_dump().items() if name not in PLACES}
        # Records of earlier versions lack these: all classes were kept, no label was suspected.
        return {k: v for k, v in values.items() if v or k not in ("classes", "suspects")}


class OwnCellsSettings(TrainingSettings):
    """One architecture on the user's own cells, and what is done with it then."""

    manifest: Place = Field(
        "folders", description="folders: a folder per class; or a CSV file of file, label, patient"
    )
    split: Split = Field("patient", description=HELP)
    image_size: int = Field(
        0, ge=0, description="height and width that every image must have; 0: any"
    )
    run_folder: Place = Field(
        "runs/own_cells", description="where results go; in Colab drive/NAME is on Google Drive"
    )
    architecture: Network = Field("mobilenet", description="which network is trained")
    new_images: str = Field(
        "", description="a folder of new images to classify; empty: some test cells"
    )
    open_page: bool = Field(
        False, description="open a page on which images can be dropped (needs gradio)"
    )

    def training(self) -> TrainingSettings:
        """The settings of the training alone, as `inference.load` finds them again."""
        values = self.model_dump(include={*TrainingSettings.model_fields})
        values["input_size"] = self.input_size or registry.get(self.architecture).input_size
        return TrainingSettings(**values)


class NewImagesSettings(BaseModel):
    """A model that is trained, and new images for it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(
        "runs/sample/mobilenet", description="folder with model.keras and parameters.json"
    )
    new_images: str = Field(
        SAMPLE, description="sample (drawn cells), a folder of images, or one image"
    )
    run_folder: str = Field(
        "runs/new_images", description="where results go; in Colab drive/NAME is on Google Drive"
    )
    shown: PositiveInt = Field(8, description="images that are shown with their evidence")


class CollapseSettings(DataSettings):
    """The study of ResNet50's collapse; the defaults are the paper's head and optimizer."""

    weights: str = Field(
        "default", description="imagenet, random, a file, or default (sample: auto, else imagenet)"
    )
    pool: int = Field(
        2000, ge=160, le=MOST_IMAGES, description="cells in the study, half of each class"
    )
    seeds: Seeds = Field(
        "1,2,3,4,5", description="seeds, separated by commas; each draws its own cells"
    )
    epochs: PositiveInt = Field(
        100, le=MOST_EPOCHS, description="how often the training cells are seen"
    )
    learning_rate: PositiveFloat = Field(1e-4, description="of SGD")

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers."""
        return [int(seed) for seed in self.seeds.split(",")]


class ChoicesSettings(DataSettings):
    """The study of optimizers and activations on the features of one frozen network."""

    architecture: Network = Field("mobilenet", description="whose frozen features are used")
    weights: str = Field(
        "default", description="imagenet, random, a file, or default (sample: auto, else imagenet)"
    )
    epochs: PositiveInt = Field(
        30, le=MOST_EPOCHS, description="how often the training cells are seen"
    )
    learning_rates: str = Field(
        "0.0001,0.001,0.01,0.1", description="learning rates to try, separated by commas"
    )
    seeds: Seeds = Field("1,2,3", description="seeds, separated by commas")
    hidden_units: PositiveInt = Field(
        64, le=MOST_UNITS, description="units of the hidden layer whose activations are compared"
    )

    @field_validator("learning_rates")
    @classmethod
    def _numbers(cls, rates: str) -> str:
        try:
            usable = all(float(rate) > 0 for rate in rates.split(","))
        except ValueError:
            usable = False
        if not usable:
            raise InputError(
                f"learning_rates = {rates!r} cannot be used: give positive numbers, separated by "
                "commas."
            )
        return rates

    @property
    def rates(self) -> list[float]:
        """The learning rates as numbers."""
        return [float(rate) for rate in self.learning_rates.split(",")]

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers."""
        return [int(seed) for seed in self.seeds.split(",")]


class ClassicalSettings(DataSettings):
    """Which classical classifiers are trained."""

    classifiers: str = Field(
        "svm,knn,mlp", description="svm, knn and mlp, or some of them, separated by commas"
    )
    refit: bool = Field(
        False, description="train on the validation cells too, once the settings have been chosen"
    )
    choose_by: ChooseBy = Field(
        "weighted_f1", description="figure of validation by which hyper-parameters are chosen"
    )

    @property
    def names(self) -> list[str]:
        """The classifiers as a list of names."""
        return [name.strip() for name in self.classifiers.split(",")]

    @field_validator("classifiers")
    @classmethod
    def _only_classical(cls, classifiers: str, field: ValidationInfo) -> str:
        odd = [name for name in classifiers.split(",") if name.strip() not in CLASSICAL]
        if odd:
            raise InputError(
                f"{odd[0]!r} is not a classical classifier: choose from {', '.join(CLASSICAL)}."
            )
        return _each_once(classifiers, field)


class EnsembleSettings(DataSettings):
    """Which networks of a run are joined, and what is decided of the ensemble."""

    members: str = Field(
        ",".join(PAPERS_THREE), description="networks of this run folder, separated by commas"
    )
    calibrate: bool = Field(
        True,
        description="correct the probabilities by a temperature, on cells of patients that the "
        "networks have not met",
    )
    sensitivity: Sensitivity = 0.0

    @property
    def names(self) -> list[str]:
        """The networks as a list of names."""
        return [name.strip() for name in self.members.split(",")]

    @field_validator("members")
    @classmethod
    def _networks(cls, members: str) -> str:
        for name in members.split(","):
            registry.get(name.strip())
        return members


class ComparisonSettings(DataSettings):
    """Which results are compared."""

    architectures: Names = Field(
        ",".join(PAPERS_THREE),
        description=f"networks and classifiers, separated by commas: {', '.join(NAMES)}",
    )

    @property
    def names(self) -> list[str]:
        """The methods as a list of names."""
        return [name.strip() for name in self.architectures.split(",")]


class RunSettings(TrainingSettings, ComparisonSettings):
    """A whole run. Training settings may hold one value for all or one per architecture."""


MethodSettings = TrainingSettings | ClassicalSettings | EnsembleSettings

PATHS = ("images", "manifest", "weights", "run_folder", "cache_folder")
LONGEST_NAME = 255  # bytes of a file's name on the disks of Linux, macOS and Windows
# Settings that may be given as architecture=value pairs.
PER_ARCHITECTURE = tuple(
    name for name in TrainingSettings.model_fields if name not in DataSettings.model_fields
)


def as_meant(kind: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for tells a text from a number or yes: classes may be called 0 and 1."""
    kinds = {name: field.annotation for name, field in kind.model_fields.items()}
    return {name: _of_kind(kinds.get(name), value) for name, value in values.items()}


def _of_kind(kind: Any, value: Any) -> Any:
    """A value, or one for each architecture, as its setting has it; as it is where it cannot be."""
    if isinstance(value, dict):
        return {key: _of_kind(kind, each) for key, each in value.items()}
    if kind is str and type(value) is int and abs(value) < 10**18:
        return str(value)
    if kind is bool and isinstance(value, str):
        return YES_OR_NO.get(value.lower(), value)
    if kind in (int, float) and isinstance(value, str):  # 1e-4 is a text in YAML
        with suppress(ValueError):
            return kind(value)
    return value


def validate(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build a settings object, or say in one sentence what is wrong."""
    if odd := [name for name in values if not isinstance(name, str)]:
        raise InputError(f"{str(odd[0])[:50]!r} is not a setting: names are text, in quotes.")
    if odd := [name for name, value in values.items() if not _can_be_written(value)]:
        raise InputError(f"{odd[0]} = {values[odd[0]]!a} holds what no file or name can: mend it.")
    if odd := [name for name in PATHS if _has_too_long_a_name(values.get(name))]:
        raise InputError(
            f"{odd[0]} = {reprlib.repr(values[odd[0]])} has a name of more than {LONGEST_NAME} "
            "bytes, which no file or folder can have: shorten it."
        )
    try:
        settings = kind(**values)
    except ValidationError as error:
        raise InputError(_sentence(kind, error.errors()[0])) from None
    for name in getattr(settings, "names", []):
        registry.check_method(name)
    return settings


def _can_be_written(value: Any) -> bool:
    """Whether a text is one that names of files can hold."""
    if not isinstance(value, str):
        return True
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _has_too_long_a_name(path: Any) -> bool:
    """Whether a path has a part that no disk takes, so that asking for it is an error."""
    names = re.split(r"[/\\]", path) if isinstance(path, str) else []
    return any(len(os.fsencode(name)) > LONGEST_NAME for name in names)


def _sentence(kind: type[BaseModel], problem: Mapping[str, Any]) -> str:
    if isinstance(problem.get("ctx", {}).get("error"), InputError):
        return str(problem["ctx"]["error"])
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name.lower(), kind.model_fields)
        return f"{name!r} is not a setting: choose from {', '.join(near or kind.model_fields)}."
    help_text = kind.model_fields[name].description
    several = isinstance(problem["input"], list)
    remedy = "; separate several by commas" if several else "; put it in quotes"
    quotes = remedy if problem["type"] == "string_type" else ""
    value = _short(problem["input"])
    return f"{name} = {value} cannot be used: {problem['msg']}{quotes} ({name}: {help_text})."


def _short(value: Any) -> str:
    """A value as Python writes it, or its beginning: numbers may have thousands of digits."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    return reprlib.repr(value) if isinstance(value, dict | list) else repr(value)

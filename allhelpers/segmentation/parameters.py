"""What the notebook of smears asks for, checked as the other notebooks' settings are."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SAMPLE = "sample"
RESEARCH_ONLY = "research only, not for diagnosis"
SegmenterName = Literal["embedded", "cellpose", "stardist"]


class SmearSettings(BaseModel):
    """Which photographs, whose they are, and who finds the cells."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    fields: str = Field(
        SAMPLE, description="sample (drawn smears), a folder of photographs, or one photograph"
    )
    output: str = Field("runs/cells", description="new folder for the cells")
    label: str = Field("", description="class of all photographs; empty: from the folders")
    table: str = Field("", description="CSV file of field, label, patient; empty: from the folders")
    answers: str = Field("", description="boxes or masks that exist; empty: cells are found")
    segmenter: SegmenterName = Field("embedded", description="who finds the cells")
    micrometres_per_pixel: float = Field(
        0.0, ge=0, description="scale of the photographs; 0: unknown"
    )
    keep_border: bool = Field(False, description="cut out cells that the border cuts, too")
    overwrite: bool = Field(False, description="replace an earlier output")

    def options(self) -> dict[str, Any]:
        """Keywords of `cut_cells`; empty means not given."""
        values = self.model_dump(exclude={"fields", "output"})
        return {name: value for name, value in values.items() if value not in ("", 0.0)}

"""A model as a look shows it: the mode, the near plane, a box that is about to be cut."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial

from recon.geometry import Camera
from recon.model import RenderOptions, RenderOutput
from recon.scene import PosedScene
from recon.viewer.box import Cut
from recon.viewer.images import MODES, SPLAT_MODES, Mode
from recon.viewer.look import Look
from recon.viewer.request import Layer
from recon.viewer.workspace import NamedModel


def modes_of(named: NamedModel | None) -> tuple[Mode, ...]:
    """The modes that a model can be shown in."""
    if named is not None and named.is_splats:
        return MODES
    return tuple(mode for mode in MODES if mode not in SPLAT_MODES)


ABOUT_MODES: dict[Mode, str] = {
    "Depth": "near red, far blue",
    "Normals": "where surfaces face, up is blue",
    "Alpha": "white where nothing shines through",
    "Ellipses": "each splat small and solid",
    "Splats per pixel": "how many lie over one another",
}


def about_modes(named: NamedModel | None) -> str:
    """What the modes of a model show, in one line."""
    modes = modes_of(named)
    return ". ".join(f"{mode}: {about}" for mode, about in ABOUT_MODES.items() if mode in modes)


def cost_key(named: NamedModel, mode: Mode, depth: bool, still: bool = False) -> Hashable:
    """Tells apart what takes different times to render."""
    return named.key, mode if mode in SPLAT_MODES else "", depth, still


def shown_layer(
    named: NamedModel,
    camera: Camera,
    look: Look,
    scene: PosedScene | None,
    mode: Mode,
    *,
    still: bool = False,
) -> Layer:
    """What the scheduler needs to render a model as a look shows it, in a mode; `still` as in
    `RenderOptions`."""
    depth = mode in ("Depth", "Normals")
    options = RenderOptions(look.behind(scene), depth=depth, near=look.near, still=still)

    def renderer(options: RenderOptions) -> Callable[[Camera], RenderOutput]:
        return partial(render_shown, named, options, mode, look.preview)

    return Layer(
        key=cost_key(named, mode, depth, still),
        camera=camera,
        render=renderer(options),
        quick=renderer(replace(options, quick=True, still=False)) if named.bands else None,
        bands=named.bands,
    )


def evaluated_layer(named: NamedModel, camera: Camera, scene: PosedScene | None) -> Layer:
    """The same as `recon eval` renders it, whatever the look: all of it, in colour, on the scene's
    own background."""
    return shown_layer(named, camera, Look(), scene, "Colour", still=True)


def render_shown(
    named: NamedModel, options: RenderOptions, mode: Mode, preview: Cut | None, camera: Camera
) -> RenderOutput:
    """A picture of the model; see `images.develop` for what becomes of it.

    Args:
        preview: show what this cut would leave.
    """
    model = named.model
    cut_out = preview is not None and named.can_be_cut
    if cut_out or (named.is_splats and mode in SPLAT_MODES):
        # Late, as everywhere in the viewer: this imports torch, and the page must stand before.
        from recon.viewer.variants import as_ellipses, count_splats, cut_preview

        if cut_out and preview is not None:
            model = cut_preview(model, preview)
        if mode == "Splats per pixel":
            return count_splats(model, camera, options)
        if mode == "Ellipses":
            model = as_ellipses(model)
    return model.render(camera, options)

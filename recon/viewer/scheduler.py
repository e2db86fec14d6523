"""One renderer shared by all who look: fair, cancellable, the latest wish wins.

Knows nothing of viser or of methods. A client's request names what to render; the scheduler
decides when and at which resolution, and hands finished frames back from its one thread.

- While the camera moves, a frame is rendered at the largest scale that keeps to a frame time, and
  some time is left to the browser, which may have to draw it on the same cores.
- When it rests, the picture is refined: intermediate scale, then full, in bands where that is
  exact. A newer request cancels what is left of the older one, between steps.
- Clients take turns by the render time that they have used (start-time fair queueing), so ten
  viewers share what one would have, and one that flies about does not starve the others.
- Nobody asks: the thread sleeps.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from recon.model import RenderOutput
from recon.viewer.cost import LADDER, LEGIBLE, Allowance, CostModel
from recon.viewer.images import crop_rows, paste_rows
from recon.viewer.request import ClientId, Frame, Layer, Pace, Request, scaled

RENDER_THREAD = "recon-render"
_QUICK = "quick"  # before the key of a layer: the cost of its quick pictures


@dataclass(frozen=True)
class _Step:
    """Render `rows` (all when None) at `scale`, not before `ready`.

    Attributes:
        preview: worth showing even when a newer request overtook it: it shows motion.
        rows: number of a band and how many there are; None for the whole picture.
        first: of the bands: layers that cannot be parted are rendered with it.
    """

    scale: float
    ready: float
    final: bool
    preview: bool = False
    rows: tuple[int, int] | None = None
    first: bool = False


@dataclass(eq=False)
class _Client:
    used: float
    request: Request | None = None
    steps: Iterator[_Step] | None = None
    next_step: _Step | None = None
    outputs: tuple[RenderOutput, ...] = ()
    moving_scale: float | None = None
    next_preview: float = 0.0

    @property
    def ready(self) -> float:
        """When the next step may begin; infinite when nothing is wanted."""
        if self.request is None or self.next_step is None:
            return math.inf
        moves = self.request.haste == "moving" and self.next_step.preview
        return max(self.next_step.ready, self.next_preview if moves else 0.0)


@dataclass
class Stats:
    """Since the start: steps and pixels rendered, busy seconds, requests overtaken by others."""

    frames: int = 0
    pixels: int = 0
    busy: float = 0.0
    cancelled: int = 0


class RenderScheduler:
    """See the module. Thread-safe; `start` is implicit, `stop` joins the thread."""

    def __init__(
        self,
        pace: Pace | None = None,
        allowance: Allowance | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = pace or Pace()
        self.stats = Stats()
        self._allowance = allowance or Allowance()
        self._clock = clock
        self._costs: dict[Hashable, CostModel] = {}
        self._clients: dict[ClientId, _Client] = {}
        self._virtual_time = 0.0
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=RENDER_THREAD, daemon=True)
        self._thread.start()

    def submit(self, client_id: ClientId, request: Request) -> None:
        """Replace whatever this client asked for before."""
        now = self._clock()
        with self._wake:
            client = self._clients.setdefault(client_id, _Client(used=self._virtual_time))
            if client.request is None:
                # Having been idle earns no credit against those who kept looking.
                client.used = max(client.used, self._virtual_time)
            else:
                self.stats.cancelled += 1
            client.request = request
            client.steps = self._plan(client, request, now)
            client.next_step = next(client.steps)
            self._wake.notify()

    def render(
        self, client_id: ClientId, layer: Layer, wanted: Callable[[], bool]
    ) -> RenderOutput | None:
        """Render one full frame in turn with all clients, and wait for it.

        For films and stills that are saved. Not to be called on the scheduler's own thread.

        Args:
            wanted: asked now and then; False gives up.

        Returns:
            The frame; None when it was given up.

        Raises:
            Exception: whatever the model raised.
        """
        done = threading.Event()
        outputs: list[RenderOutput] = []
        errors: list[Exception] = []

        def deliver(frame: Frame) -> None:
            outputs.extend(frame.outputs)
            done.set()

        def fail(error: Exception) -> None:
            errors.append(error)
            done.set()

        self.submit(client_id, Request((layer,), deliver, fail, haste="final"))
        try:
            while not done.wait(0.1):
                if self._stopping or not wanted():
                    return None
        finally:
            self.drop(client_id)
        if errors:
            raise errors[0]
        return outputs[0]

    def drop(self, client_id: ClientId) -> None:
        """Forget a client and free its work."""
        with self._wake:
            self._clients.pop(client_id, None)

    def set_share(self, share: float) -> None:
        """Limit rendering to a share of the time (1: no limit)."""
        with self._wake:
            self._allowance.share = share
            self._wake.notify()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread after the step in hand."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be rendered."""
        with self._wake:
            return all(c.request is None for c in self._clients.values())

    def pixels_per_second(self, layer: Layer) -> float:
        """Measured rate of a layer; 0 when it was never rendered."""
        return self._cost(layer).pixels_per_second

    def _plan(self, client: _Client, request: Request, now: float) -> Iterator[_Step]:
        """The steps of a request; each is computed when it is due, with the costs known then."""
        moving = request.haste == "moving"
        rest = now + self.pace.settle if moving else now
        known = all(self._cost(layer).known for layer in request.layers)
        quick = known and self._estimate(request, 1.0) <= (
            self.pace.moving if moving else self.pace.rest
        )
        if quick or request.haste == "final":
            client.moving_scale = 1.0
            yield _Step(1.0, now, final=True, preview=moving)
            return
        scale = self._moving_scale(client, request)
        client.moving_scale = scale
        yield _Step(scale, now, final=scale == 1.0, preview=True)
        if scale == 1.0:
            return
        full = self._estimate(request, 1.0)
        if full > 4 * self.pace.rest:
            middle = min(0.5, self._scale_within(request, 2 * self.pace.rest, None))
            if middle > 1.4 * scale:
                yield _Step(middle, rest, final=False)
        bands = self._bands(request)
        if bands == 1:
            yield _Step(1.0, rest, final=True)
            return
        # Fractions of the height, the middle first: that is where people look.
        for done, band in enumerate(sorted(range(bands), key=lambda b: abs(b - (bands - 1) / 2))):
            yield _Step(1.0, rest, done == bands - 1, rows=(band, bands), first=done == 0)

    def _bands(self, request: Request) -> int:
        """How many bands the full picture is rendered in."""
        parted = [layer for layer in request.layers if layer.bands]
        if not parted:
            return 1
        seconds = sum(self._cost(layer).estimate(layer.pixels) for layer in parted)
        height = min(layer.camera.height for layer in parted)
        return max(1, min(round(seconds / self.pace.band), height // 8))

    def _moving_scale(self, client: _Client, request: Request) -> float:
        if any(layer.bands and not self._cost(layer).known for layer in request.layers):
            return LADDER[-1]  # methods that march rays are slow: begin with care
        scale = self._scale_within(request, self.pace.moving, client.moving_scale, quick=True)
        if scale >= LEGIBLE:
            return scale
        slower = self._scale_within(request, self.pace.slow, client.moving_scale, quick=True)
        return min(LEGIBLE, slower)

    def _scale_within(
        self, request: Request, seconds: float, current: float | None, *, quick: bool = False
    ) -> float:
        """The largest scale at which all layers together keep to `seconds`."""
        each = seconds / max(1, len(request.layers))
        scales = [
            self._cost(layer, quick=quick).scale_within(layer.pixels, each, current)
            for layer in request.layers
        ]
        return min(scales, default=1.0)

    def _estimate(self, request: Request, scale: float) -> float:
        return sum(
            self._cost(layer).estimate(round(layer.pixels * scale * scale))
            for layer in request.layers
        )

    def _cost(self, layer: Layer, *, quick: bool = False) -> CostModel:
        """What pictures of a layer cost; of quick ones and others while only these are known."""
        full = self._costs.setdefault(layer.key, CostModel())
        if layer.quick is None:
            return full
        quicker = self._costs.setdefault((_QUICK, layer.key), CostModel())
        wanted, other = (quicker, full) if quick else (full, quicker)
        return wanted if wanted.known else other

    def _run(self) -> None:
        while True:
            with self._wake:
                picked = self._pick()
                while picked is None:
                    if self._stopping:
                        return
                    self._wake.wait(self._until_ready())
                    picked = self._pick()
                if self._stopping:
                    return
                client, request, step = picked
                self._virtual_time = client.used
            self._perform(client, request, step)

    def _pick(self) -> tuple[_Client, Request, _Step] | None:
        now = self._clock()
        if self._allowance.wait(now) > 0.0:
            return None
        ready = [
            (client, client.request, client.next_step)
            for client in self._clients.values()
            if client.request is not None and client.next_step is not None and client.ready <= now
        ]
        return min(ready, key=lambda entry: entry[0].used, default=None)

    def _until_ready(self) -> float | None:
        """Seconds to sleep; None is until woken."""
        now = self._clock()
        first = min((c.ready for c in self._clients.values()), default=math.inf)
        if first == math.inf:
            return None
        return max(first - now, self._allowance.wait(now), 1e-4)

    def _perform(self, client: _Client, request: Request, step: _Step) -> None:
        started = self._clock()
        try:
            frame, costs = self._render(client, request, step)
            rendered = self._clock()
            with self._wake:
                current = client.request is request and client in self._clients.values()
                alive = client in self._clients.values()
            # A refinement that was overtaken would flash the past.
            if current or (alive and step.preview):
                request.deliver(frame)
            delivery = (self._clock() - rendered) / max(1, len(costs))
            for key, pixels, seconds in costs:
                self._costs.setdefault(key, CostModel()).add(pixels, seconds + delivery)
        except Exception as error:  # Whatever a model raises must reach the page, not end us.
            with self._wake:
                self._finish(client, request)
            # Telling may fail, too: the page left, say. The others still want their pictures.
            with suppress(Exception):
                request.on_error(error)
        else:
            with self._wake:
                if client.request is request and client.steps is not None:
                    client.next_step = next(client.steps, None)
                    if client.next_step is None:
                        self._finish(client, request)
        ended = self._clock()
        with self._wake:
            if step.preview:
                client.next_preview = ended + (ended - started) * (1.0 / self.pace.busy - 1.0)
            client.used += ended - started
            self._allowance.spend(ended - started, ended)
            self.stats.busy += ended - started

    @staticmethod
    def _finish(client: _Client, request: Request) -> None:
        if client.request is request:
            client.request = client.steps = client.next_step = None
            client.outputs = ()

    def _render(
        self, client: _Client, request: Request, step: _Step
    ) -> tuple[Frame, list[tuple[Hashable, int, float]]]:
        """The frame, and for each layer the key of its cost, its pixels and seconds."""
        outputs: list[RenderOutput] = []
        costs: list[tuple[Hashable, int, float]] = []
        for index, layer in enumerate(request.layers):
            camera = scaled(layer.camera, step.scale)
            rows: tuple[int, int] | None = None
            if step.rows is not None and not layer.bands and not step.first:
                outputs.append(client.outputs[index])  # whole since the first band
                continue
            if step.rows is not None and layer.bands:
                band, bands = step.rows
                rows = (camera.height * band // bands, camera.height * (band + 1) // bands)
                camera = crop_rows(camera, *rows)
            render, key = layer.render, layer.key
            if layer.quick is not None and step.preview and not step.final:
                render, key = layer.quick, (_QUICK, layer.key)
            before = self._clock()
            output = render(camera)
            costs.append((key, camera.width * camera.height, self._clock() - before))
            if rows is not None:
                base = client.outputs[index] if index < len(client.outputs) else None
                output = paste_rows(base, output, layer.camera, rows)
            outputs.append(output)
        with self._wake:
            if client.request is request:
                client.outputs = tuple(outputs)
        pixels = sum(count for _, count, _ in costs)
        self.stats.frames += 1
        self.stats.pixels += pixels
        seconds = sum(took for _, _, took in costs)
        return Frame(tuple(outputs), step.scale, step.final, seconds, pixels), costs

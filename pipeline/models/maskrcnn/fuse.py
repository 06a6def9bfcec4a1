"""Operator fusion for inference: batch norms folded into convolutions, sums and activations fused with them.

On CPUs with oneDNN a fused convolution is one call with weights packed once, as PyTorch's own compiler does it;
elsewhere it is a convolution with sum and activation in place. The arithmetic is the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
}
_APPLY: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu_,
    "hardswish": lambda x: F.hardswish(x, inplace=True),
    "hardsigmoid": lambda x: F.hardsigmoid(x, inplace=True),
}
_SUMS = (operator.add, operator.iadd, torch.add)
_RELUS = (F.relu, torch.relu)
ENLARGES = "enlarges"
"""Key in the `meta` of a node: one of its summands has half the size of the other."""


def can_pack() -> bool:
    """Whether this PyTorch has oneDNN's fused convolutions, which are not part of its public interface."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and all(hasattr(torch.ops.mkldnn, name) for name in names)


class FusedConv2d(nn.Module):
    """`pool(activation(convolution(x) + other))`.

    Args:
        conv: the convolution, with zero padding.
        activation: a key of `_APPLY`.
        enlarges: `other` has half the size of the output, and is enlarged by repetition.
        pools: the largest value of 3x3 pixels, 2 apart, with a border of 1; after ReLU alone, and without `other`.
    """

    def __init__(
        self, conv: nn.Conv2d, activation: str = "none", *, enlarges: bool = False, pools: bool = False
    ) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self._geometry: tuple[list[int], list[int], list[int], int] = (
            list(conv.stride),
            [int(side) for side in conv.padding],
            list(conv.dilation),
            conv.groups,
        )
        self.activation, self.enlarges, self.pools = activation, enlarges, pools
        self.packs = self.kernels = False
        self._packed: Tensor | None = None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        if self.packs:
            return self._by_onednn(x, other)
        if self.kernels:
            return self._by_kernels(x, other)
        out = F.conv2d(x, self.weight, self.bias, *self._geometry)
        if other is not None:
            out.add_(F.interpolate(other, out.shape[2:]) if self.enlarges else other)
        out = _APPLY[self.activation](out)
        return F.max_pool2d(out, 3, 2, 1) if self.pools else out

    def _by_onednn(self, x: Tensor, other: Tensor | None) -> Tensor:
        stride, padding, dilation, groups = self._geometry
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, padding, stride, dilation, groups, list(x.shape)
            )
        arguments = (self._packed, self.bias, padding, stride, dilation, groups)
        if other is None:
            fused: Tensor = torch.ops.mkldnn._convolution_pointwise(x, *arguments, self.activation, [], "")
            return fused
        unary = None if self.activation == "none" else self.activation
        summed: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, *arguments, "add", 1.0, unary, [], ""
        )
        return summed

    def _by_kernels(self, x: Tensor, other: Tensor | None) -> Tensor:
        from pipeline.models.maskrcnn.kernels.convolution import add_bias, pool_relu

        assert self.bias is not None
        if self._suits_cudnn(x):
            if other is None:
                return torch.cudnn_convolution_relu(x, self.weight, self.bias, *self._geometry)
            return torch.cudnn_convolution_add_relu(x, self.weight, other, 1.0, self.bias, *self._geometry)
        out = F.conv2d(x, self.weight, None, *self._geometry)
        return pool_relu(out, self.bias) if self.pools else add_bias(out, self.bias, other, self.activation)

    def _suits_cudnn(self, x: Tensor) -> bool:
        """Whether cuDNN has one kernel for all of it: on tensor cores the fastest, elsewhere far slower."""
        alone = self.activation == "relu" and not self.pools and not self.enlarges
        return (
            alone
            and x.is_cuda
            and x.dtype == torch.float16
            and self._geometry[3] == 1
            and x.shape[1] % 8 == 0
        )


def use_kernels(module: nn.Module) -> None:
    """Makes every fused convolution in `module` use the GPU kernels.

    Args:
        module: what `fuse` returned.
    """
    for one in module.modules():
        if isinstance(one, FusedConv2d):
            if one.bias is None:
                one.bias = nn.Parameter(one.weight.new_zeros(len(one.weight)), requires_grad=False)
            one.kernels = True


def pack(module: nn.Module) -> None:
    """Makes every fused convolution in `module` use packed weights. They must not change afterwards.

    Args:
        module: what `fuse` returned.
    """
    for one in module.modules():
        if isinstance(one, FusedConv2d):
            one.packs = True


def fuse(module: nn.Module, *, for_gpu: bool = False) -> fx.GraphModule:
    """The same function with each convolution, its batch norm, a following sum and activation fused into one module.

    Args:
        module: in evaluation mode, traceable by torch.fx: no control flow that depends on values.
        for_gpu: also what oneDNN has no fusion for: the enlargement of a summand, and pooling after ReLU.
    """
    traced = fx.symbolic_trace(module)
    modules = dict(traced.named_modules())
    _fold_norms(traced, modules)
    if for_gpu:
        _absorb_enlargements(traced, modules)
    for node in list(traced.graph.nodes):
        conv = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d):
            continue
        chain = [node]
        total, other = _following_sum(node)
        if total is not None:
            chain.append(total)
        following = _single_user(chain[-1])
        activation = _activation(following, modules) if following is not None else None
        # oneDNN fuses a sum with ReLU alone.
        if following is not None and activation is not None and (total is None or activation == "relu"):
            chain.append(following)
        else:
            activation = None
        enlarges = total is not None and total.meta.get(ENLARGES, False)
        after = _single_user(chain[-1]) if for_gpu and activation == "relu" and total is None else None
        pools = after is not None and _is_pooling(after, modules)
        if after is not None and pools:
            chain.append(after)
        name = f"fused_{node.name}"
        traced.add_submodule(name, _shared(traced, conv, activation or "none", enlarges, pools))
        with traced.graph.inserting_before(chain[-1]):
            new = traced.graph.call_module(name, (node.args[0], *other))
        chain[-1].replace_all_uses_with(new)
        for done in reversed(chain):
            traced.graph.erase_node(done)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _shared(
    traced: fx.GraphModule, conv: nn.Conv2d, activation: str, enlarges: bool, pools: bool
) -> FusedConv2d:
    """One module for a convolution that is used several times, so that its weights are packed once."""
    for module in traced.modules():
        if (
            isinstance(module, FusedConv2d)
            and module.weight is conv.weight
            and (module.activation, module.enlarges, module.pools) == (activation, enlarges, pools)
        ):
            return module
    return FusedConv2d(conv, activation, enlarges=enlarges, pools=pools)


def _absorb_enlargements(traced: fx.GraphModule, modules: dict[str, nn.Module]) -> None:
    """Sums of a convolution and something enlarged to its size take that before it is enlarged, and are marked."""
    for node in list(traced.graph.nodes):
        if node.op != "call_function" or node.target not in (F.interpolate, nn.functional.interpolate):
            continue
        size, total = node.kwargs.get("size"), _single_user(node)
        if node.kwargs.get("mode") != "nearest" or not isinstance(size, fx.Node) or total is None:
            continue
        shape = size.args[0] if size.op == "call_function" and size.args else None
        conv = shape.args[0] if isinstance(shape, fx.Node) and shape.args else None
        module = modules.get(str(conv.target)) if isinstance(conv, fx.Node) else None
        if not isinstance(conv, fx.Node) or not isinstance(module, nn.Conv2d) or total.target not in _SUMS:
            continue
        if set(total.args) != {conv, node} or tuple(size.args[1:]) != (slice(-2, None),):
            continue
        total.args = (conv, node.args[0])
        total.meta[ENLARGES] = True
        for done in (node, size, shape):
            if isinstance(done, fx.Node) and not done.users:
                traced.graph.erase_node(done)


def _is_pooling(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether it is the pooling that `FusedConv2d` does."""
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return (
        isinstance(module, nn.MaxPool2d)
        and (module.kernel_size, module.stride, module.padding) == (3, 2, 1)
        and (module.dilation, module.ceil_mode) == (1, False)
    )


def _fold_norms(traced: fx.GraphModule, modules: dict[str, nn.Module]) -> None:
    """Folds each batch norm that is the only consumer of its convolution."""
    for name, conv in list(modules.items()):
        uses = [node for node in traced.graph.nodes if node.op == "call_module" and node.target == name]
        consumers = [_single_user(node) for node in uses] if isinstance(conv, nn.Conv2d) else []
        norms = {str(node.target) if node is not None else "" for node in consumers}
        norm = modules.get(norms.pop()) if len(norms) == 1 else None
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(conv, nn.Conv2d):
            continue
        parent, _, attribute = name.rpartition(".")
        modules[name] = fuse_conv_bn_eval(conv, norm)
        setattr(traced.get_submodule(parent), attribute, modules[name])
        for node, user in zip(uses, consumers, strict=True):
            assert user is not None
            user.replace_all_uses_with(node)
            traced.graph.erase_node(user)


def _single_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _following_sum(node: fx.Node) -> tuple[fx.Node | None, tuple[fx.Node, ...]]:
    """The sum that is the only consumer of a convolution's output, and its other summand."""
    user = _single_user(node)
    if user is None or user.op != "call_function" or user.target not in _SUMS or len(user.args) != 2:
        return None, ()
    other = user.args[1] if user.args[0] is node else user.args[0]
    return (user, (other,)) if isinstance(other, fx.Node) and other is not node else (None, ())


def _activation(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    if node.op == "call_function" and node.target in _RELUS:
        return "relu"
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return _ACTIVATIONS.get(type(module)) if module is not None else None

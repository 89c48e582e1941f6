"""Writes src/review/surface/torch.txt: the part of torch that a submission may use.

    python scripts/torch_surface.py            writes the table
    python scripts/torch_surface.py --check    exits with 1 if the committed table is another

The table is made for the torch of requirements.txt. Of each module in MODULES it takes the public
names that belong to torch and are functions, classes or plain values: no modules, no text, nothing
of DENIED, which loads, saves, stores, registers, patches or reaches the machine. A class that holds
a module as an attribute would be a way out; there is none, and the script stops if there is one.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
import textwrap
import types
import warnings
from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / "src" / "review" / "surface" / "torch.txt"
HEADER = """\
# The public surface of torch 2.11 that a submission may use: one section per importable module, then the names it may
# take from it. A submodule is reachable when it has a section of its own. What is not listed here is refused.
"""
LINE_CHARS = 118

MODULES = """
torch
torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.nn.utils.rnn torch.nn.utils.parametrize
torch.nn.utils.parametrizations torch.nn.utils.stateless torch.nn.utils.clip_grad torch.nn.parallel
torch.nn.parallel.distributed torch.nn.parameter torch.nn.attention torch.nn.attention.flex_attention
torch.nn.attention.bias torch.nn.modules torch.nn.modules.loss torch.nn.modules.utils
torch.nn.modules.activation torch.nn.modules.normalization torch.nn.modules.linear
torch.nn.modules.sparse torch.nn.modules.container torch.nn.modules.module torch.nn.modules.conv
torch.nn.modules.rnn torch.nn.modules.transformer torch.nn.modules.dropout
torch.nn.modules.batchnorm torch.nn.modules.pooling torch.nn.modules.padding torch.nn.modules.fold
torch.nn.modules.flatten torch.nn.modules.distance torch.nn.modules.instancenorm
torch.nn.modules.upsampling torch.nn.modules.pixelshuffle torch.nn.grad torch.nn.common_types
torch.optim torch.optim.lr_scheduler torch.optim.swa_utils torch.optim.optimizer torch.optim.adam
torch.optim.adamw torch.optim.sgd torch.optim.adadelta torch.optim.adagrad torch.optim.adamax
torch.optim.asgd torch.optim.lbfgs torch.optim.nadam torch.optim.radam torch.optim.rmsprop
torch.optim.rprop torch.optim.sparse_adam
torch.distributed torch.distributed.fsdp torch.distributed.device_mesh torch.distributed.optim
torch.distributed.algorithms.join torch.distributed.tensor torch.distributed.tensor.parallel
torch.distributed.fsdp.wrap torch.distributed.fsdp.fully_sharded_data_parallel
torch.distributed.algorithms._checkpoint.checkpoint_wrapper
torch.utils torch.utils.checkpoint torch.utils.data torch.utils.data.distributed
torch.utils.data.dataset torch.utils.data.dataloader torch.utils.data.sampler
torch.amp torch.autograd torch.autograd.functional torch.autograd.function torch.autograd.graph
torch.autograd.forward_ad torch.autograd.grad_mode
torch.cuda torch.cuda.amp torch.cuda.random torch.cuda.memory torch.cpu torch.cpu.amp torch.mps
torch.accelerator torch.backends torch.backends.cuda torch.backends.cudnn torch.backends.mps
torch.backends.mkl torch.backends.mkldnn torch.backends.openmp torch.backends.opt_einsum
torch.fft torch.linalg torch.special torch.func torch.compiler torch.sparse torch.masked
torch.nested torch.signal torch.signal.windows torch.random torch.types torch.distributions
torch.functional torch.version torch.return_types torch.quasirandom
""".split()

# Modules of which only the names in ADDED are taken.
ONLY_ADDED = {"torch.compiler", "torch.types", "torch.version"}

# Refused in every module.
DENIED = set(
    """
load save from_file hub ops classes library jit fx package export serialization compile_with_cache
import_ir_module import_ir_module_from_buffer set_default_tensor_type set_vital read_vitals
GraphExecGroup PyTorchFileReader PyTorchFileWriter ScriptFile FileCheck parse_ir parse_schema
parse_type_comment merge_type_from_type_comment get_file_path prepare_multiprocessing_environment
typename set_autocast_cache_enabled _C UntypedStorage TypedStorage
FileStore TCPStore HashStore PrefixStore Store rendezvous register_rendezvous_handler breakpoint
register_backend all_gather_object broadcast_object_list gather_object scatter_object_list
send_object_list recv_object_list
cudart CUDAPluggableAllocator change_current_allocator caching_allocator_alloc
caching_allocator_delete list_gpu_processes allow_in_graph_callable substitute_in_graph
save_cache_artifacts load_cache_artifacts set_enable_guard_collectives load_compiled_function
swap_tensors set_module rename_privateuse1_backend generate_methods_for_privateuse1_backend
cmake_prefix_path ThroughputBenchmark get_cpp_backtrace
register_module_forward_hook register_module_forward_pre_hook register_module_backward_hook
register_module_full_backward_hook register_module_full_backward_pre_hook
register_module_buffer_registration_hook register_module_module_registration_hook
register_module_parameter_registration_hook
profile record_function_from_file emit_itt emit_nvtx load_nvprof EnforceUnique KinetoStepTracker
register_optimizer_step_pre_hook register_optimizer_step_post_hook
handle_torch_function has_torch_function has_torch_function_unary has_torch_function_variadic
functional_datapipe DataPipe IterDataPipe MapDataPipe DFIterDataPipe get_device_states
set_device_states memory_snapshot dump_snapshot export_memory_snapshot start_processes
get_symm_mem_workspace disable_functorch LoggingTensorMode TorchDispatchMode CUDAGraph
get_device_module classproperty profiler_allow_cudagraph_cupti_lazy_reinit_cuda12
autocast_decrement_nesting
common_notes common_args factory_common_args tf32_notes reproducibility_notes sparse_support_notes
multi_dim_common
""".split()
)
# Refused in torch itself, beside its storages, type objects and classes that are not in CLASSES.
DENIED_IN_TORCH = {
    "sys", "fork", "wait", "cpp", "autocast_increment_nesting", "unify_type_list",
    "init_num_threads", "import_module",
}  # fmt: skip
CLASSES = set(
    """
BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor
LongTensor ShortTensor Event Generator GradScaler OutOfMemoryError Size Stream SymBool SymFloat
SymInt Tensor
""".split()
)

# Taken although the rules above leave them out: private names of everyday use, plain values, and
# load, save and compile, whose calls have rules of their own.
ADDED = {
    "torch": """
load save compile float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 bool long float half
double int short cfloat cdouble complex64 complex128 complex32 float8_e4m3fn float8_e5m2 strided
sparse_coo sparse_csr channels_last contiguous_format preserve_format channels_last_3d inf nan pi e
newaxis __version__ Tensor device dtype Generator Size no_grad enable_grad inference_mode
set_grad_enabled finfo iinfo memory_format layout autocast vmap
""",
    "torch.nn.init": "_calculate_fan_in_and_fan_out",
    "torch.nn.modules.batchnorm": "_BatchNorm",
    "torch.optim.lr_scheduler": "_LRScheduler",
    "torch.backends.cudnn": "benchmark deterministic allow_tf32 enabled",
    "torch.types": "Number Device",
    "torch.version": "__version__ cuda",
    "torch.compiler": "disable is_compiling is_dynamo_compiling cudagraph_mark_step_begin allow_in_graph reset",
}


def is_public(module_name: str, name: str, value: object) -> bool:
    """Whether a submission may take `name` from the module."""
    if name.startswith("_") or name in DENIED or isinstance(value, types.ModuleType):
        return False
    if isinstance(value, str | bytes | list | dict | set):
        return False
    owner = getattr(value, "__module__", None)
    if owner == "typing":
        return False
    if owner:
        of_torch = str(owner).startswith("torch") or owner in ("builtins", "_operator")
        if not of_torch:
            return False
    elif not callable(value) and not isinstance(value, int | float):
        if "torch" not in type(value).__module__:
            return False
    if module_name == "torch":
        return is_public_in_torch(name)
    return not (module_name.startswith("torch.cuda") and name.endswith("Storage"))


def is_public_in_torch(name: str) -> bool:
    """torch re-exports much of its C++ side; of its classes only those of CLASSES are taken."""
    if name in DENIED_IN_TORCH or name.endswith("Storage"):
        return False
    return name in CLASSES if name[0].isupper() else not name.endswith("Type")


def names_of(module_name: str) -> list[str]:
    """The names of one section, sorted."""
    module = importlib.import_module(module_name)
    names = set(ADDED.get(module_name, "").split())
    if module_name not in ONLY_ADDED:
        names |= {n for n in dir(module) if is_public(module_name, n, getattr(module, n))}
    if module_name == "torch":
        names |= {name for name in dir(module) if name.startswith("_foreach_")}
    for name in names:
        refuse_modules_inside(module_name, name, getattr(module, name, None))
    return sorted(names)


def refuse_modules_inside(module_name: str, name: str, value: object) -> None:
    """Stops if an attribute of a listed object is a module: the review does not look there."""
    for attribute in dir(value):
        if attribute.startswith("__"):
            continue
        try:
            inner = getattr(value, attribute)
        except Exception:
            continue
        if isinstance(inner, types.ModuleType):
            sys.exit(f"{module_name}.{name}.{attribute} is the module {inner.__name__}")


def table() -> str:
    """The whole file."""
    sections = []
    for module_name in MODULES:
        names = " ".join(names_of(module_name))
        lines = textwrap.wrap(names, LINE_CHARS, break_long_words=False, break_on_hyphens=False)
        sections.append("\n".join([f"[{module_name}]", *lines]) + "\n")
    return HEADER + "\n".join(sections)


def main() -> None:
    """Writes or checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    made = table()
    if not options.check:
        TABLE.write_text(made)
        return
    committed = TABLE.read_text()
    if made != committed:
        lines = difflib.unified_diff(
            committed.splitlines(), made.splitlines(), "committed", "made", lineterm="", n=1
        )
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()

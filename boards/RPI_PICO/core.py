# As manifest.py, with the core of edgeckpt alone: how little can be frozen.
include("stock.py")
include("../../packages/core/manifest.py", loops="thumb")

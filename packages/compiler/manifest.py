# Written by: python -m boards.tools.packages
include("../core/manifest.py")
package(
    "edgeckpt",
    files=(
        "compiler/__init__.py",
    ),
    base_path="../../firmware",
    opt=3,
)

# Written by: python -m boards.tools.packages
include("../core/manifest.py")
package(
    "edgeckpt",
    files=(
        "drivers/sfdp.py",
        "drivers/spinor.py",
    ),
    base_path="../../firmware",
    opt=3,
)

# Written by: python -m boards.tools.packages
include("../core/manifest.py")
package(
    "edgeckpt",
    files=(
        "agent.py",
        "key.py",
        "line.py",
        "transfer.py",
        "wire.py",
    ),
    base_path="../../firmware",
    opt=3,
)

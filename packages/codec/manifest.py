# Written by: python -m boards.tools.packages
include("../core/manifest.py")
package(
    "edgeckpt",
    files=(
        "codec/__init__.py",
        "codec/decode.py",
        "codec/encode.py",
        "codec/explain.py",
        "codec/order.py",
        "codec/postcard.py",
        "codec/ready.py",
        "codec/schema.py",
        "codec/tree.py",
    ),
    base_path="../../firmware",
    opt=3,
)

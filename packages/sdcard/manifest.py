# Written by: python -m boards.tools.packages
include("../core/manifest.py")
package(
    "edgeckpt",
    files=(
        "drivers/crc.py",
        "drivers/crc_plain.py",
        "drivers/crc_thumb.py",
        "drivers/crc_viper.py",
        "drivers/sdcard.py",
    ),
    base_path="../../firmware",
    opt=3,
)

"""Lines and pages of text drawn with the DejaVu fonts: draw-text.py TEXT-FOLDER OUT-FOLDER. Needs Debian's fonts-dejavu-core and -extra."""
import glob, json, os, random, sys
from PIL import Image, ImageDraw, ImageFilter, ImageFont

texts, out = sys.argv[1:]
os.makedirs(out, exist_ok=True)
fonts = sorted(glob.glob("/usr/share/fonts/truetype/dejavu/*.ttf"))
if not fonts:
    sys.exit("no DejaVu fonts in /usr/share/fonts/truetype/dejavu: apt-get install fonts-dejavu-core fonts-dejavu-extra")
draw = random.Random(1)
plays = open(os.path.join(texts, "tinyshakespeare.txt"), encoding="utf8").read().split("\n")
reviews = open(os.path.join(texts, "rt-polarity.pos"), encoding="latin1").read().split("\n")
words = [line.strip() for line in plays + reviews if line.strip().isascii() and len(line.split()) >= 3]


def phrase():
    line = draw.choice(words).split()
    count = min(len(line), draw.randint(2, 6))
    start = draw.randint(0, len(line) - count)
    return " ".join(line[start : start + count])


def colours():
    paper, ink = draw.randint(190, 255), draw.randint(0, 70)
    pair = [tuple(min(255, max(0, v + draw.randint(-15, 15))) for _ in range(3)) for v in (paper, ink)]
    return pair if draw.random() < 0.8 else pair[::-1]


def camera(image):
    """A little blur and grain, as a camera leaves them."""
    if draw.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(draw.uniform(0.3, 1.0)))
    grain = Image.frombytes("L", image.size, draw.randbytes(image.size[0] * image.size[1]))
    return Image.blend(image, Image.merge("RGB", [grain] * 3), draw.uniform(0, 0.12))


lines = []
for i in range(180):
    text, font = phrase(), ImageFont.truetype(draw.choice(fonts), draw.randint(18, 40))
    left, top, right, bottom = font.getbbox(text)
    pad = draw.randint(2, 8)
    paper, ink = colours()
    image = Image.new("RGB", (right - left + 2 * pad, bottom - top + 2 * pad), paper)
    ImageDraw.Draw(image).text((pad - left, pad - top), text, fill=ink, font=font)
    camera(image).save(os.path.join(out, f"line-{i:03}.png"))
    lines.append({"file": f"line-{i:03}.png", "text": text})

pages = []
for i in range(50):
    paper, ink = colours()
    image = Image.new("RGB", (640, 480), paper)
    y = draw.randint(8, 40)
    while y < 430:
        font = ImageFont.truetype(draw.choice(fonts), draw.randint(14, 40))
        ImageDraw.Draw(image).text((draw.randint(5, 160), y), phrase(), fill=ink, font=font)
        y += int(font.size * draw.uniform(1.2, 2.5))
    camera(image).save(os.path.join(out, f"page-{i:03}.png"))
    pages.append(f"page-{i:03}.png")

with open(os.path.join(out, "list.json"), "w") as file:
    json.dump({"lines": lines, "pages": pages}, file, indent=1)

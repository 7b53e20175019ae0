"""Times training steps of PyTorch (eager) on this CPU.

Usage: torch-train.py THREADS CLOCK (wall, or cpu: time of all threads). Reads lines "NET LAYOUT WARMUP STEPS" (LAYOUT: contiguous or channels_last) and answers each with one line of JSON:
{"parameters": N, "ms": [per step], "loss": last}. A step is forward, softmax cross-entropy, backward, SGD with momentum 0.9, batch 128, random data.
"""
import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import torch
from torch import nn

BATCH = 128


class Residual(nn.Module):
    def __init__(self, c, o, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
            nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o),
        )
        self.stride, self.more = stride, o - c

    def forward(self, x):
        y = self.body(x)
        if self.more:  # shortcut of option A: every second pixel, zeros for the channels that are new
            x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return torch.relu(y + x)


def resnet20():
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    c = 16
    for o in (16, 32, 64):
        for i in range(3):
            layers.append(Residual(c, o, 2 if i == 0 and o != 16 else 1))
            c = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def depthwise():
    layers, c = [], 3
    for o, s in ((32, 1), (64, 2), (128, 2), (128, 1)):
        layers += [nn.Conv2d(c, c, 3, s, 1, groups=c, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
                   nn.Conv2d(c, o, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        c = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


NETS = {
    "lenet-300-100": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)), (1, 28, 28)),
    "lenet-5": (lambda: nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                                      nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)), (1, 28, 28)),
    "cnn-small": (lambda: nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                                        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10)), (1, 28, 28)),
    "resnet-20": (resnet20, (3, 32, 32)),
    "depthwise": (depthwise, (3, 32, 32)),
}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    clock = time.process_time if sys.argv[2] == "cpu" else time.perf_counter
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    trainers = {}

    def trainer(name, layout):
        torch.manual_seed(1)
        make, shape = NETS[name]
        net = make()
        x = torch.rand(4, BATCH, *shape)
        y = torch.randint(0, 10, (4, BATCH))
        batches = [x[i] for i in range(4)]
        if layout == "channels_last":
            net = net.to(memory_format=torch.channels_last)
            batches = [b.to(memory_format=torch.channels_last) for b in batches]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        criterion = nn.CrossEntropyLoss()
        count = sum(p.numel() for p in net.parameters())
        turn = [0]

        def step():
            i = turn[0] % 4
            turn[0] += 1
            optimizer.zero_grad()
            loss = criterion(net(batches[i]), y[i])
            loss.backward()
            optimizer.step()
            return loss.item()

        return step, count

    for line in sys.stdin:
        name, layout, warmup, steps = line.split()
        if (name, layout) not in trainers:
            trainers[name, layout] = trainer(name, layout)
        step, count = trainers[name, layout]
        for _ in range(int(warmup)):
            step()
        ms, loss = [], 0.0
        for _ in range(int(steps)):
            t = clock()
            loss = step()
            ms.append((clock() - t) * 1000)
        print(json.dumps({"parameters": count, "ms": ms, "loss": loss}), flush=True)


main()

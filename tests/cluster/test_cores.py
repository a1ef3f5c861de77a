import cv2
import torch

from cluster import cores


def test_every_library_uses_as_many_threads_as_the_job_has_cores():
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        cores.take(1)
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])

# A lock without torch and the GPU libraries that its CUDA wheels need: torch's CPU wheels come from
# PyTorch's own index, and have hashes that the lock does not know.
#   sed -f docker/cpu.sed requirements.lock
:join
/\\$/ {
    N
    s/\\\n//
    b join
}
/^\(torch=\|torchvision=\|triton=\|nvidia-\|cuda-\)/d

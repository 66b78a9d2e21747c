# For a hospital's server without a network. Where there is one:
#     docker build -t allhelpers . && docker save allhelpers | gzip > allhelpers.tar.gz
# There:
#     docker load < allhelpers.tar.gz
#     docker run --rm --network none -v "$PWD":/work allhelpers run --images my_cells.zip --manifest folders --split patient
FROM python:3.13-slim
ENV HOME=/tmp KERAS_HOME=/opt/keras TF_CPP_MIN_LOG_LEVEL=3
COPY . /source
RUN pip install --no-cache-dir "/source[fast,export,page]" && rm -r /source
# The ImageNet weights of the paper's three networks: the only thing that is ever downloaded later.
RUN python -c "from keras import applications as a; [n(include_top=False) for n in (a.MobileNet, a.VGG16, a.ResNet50)]" \
    && chmod -R a+rX /opt/keras
WORKDIR /work
ENTRYPOINT ["allhelpers"]
CMD ["--help"]

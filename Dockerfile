# For a machine without a network: docker build -t allhelpers . && docker run --rm --network none allhelpers run
FROM python:3.13-slim
ENV HOME=/tmp KERAS_HOME=/opt/keras TF_CPP_MIN_LOG_LEVEL=3
COPY . /source
RUN pip install --no-cache-dir "/source[fast,export,page]" && rm -r /source
RUN python -c "from keras import applications as a; [n(include_top=False) for n in (a.MobileNet, a.VGG16, a.ResNet50)]" \
    && chmod -R a+rX /opt/keras
WORKDIR /work
ENTRYPOINT ["allhelpers"]
CMD ["--help"]
